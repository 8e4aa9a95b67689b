"""Configuration of a server that speaks OpenAI's image protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.providers.remote.api import MIB


@dataclass(frozen=True, slots=True)
class OpenAiConfig:
    """One server: `base_url` ends with the version, such as `/v1`.

    `stream` requests server-sent events for single pictures; some servers do not support it.
    `call_s` is the deadline of a call, and `max_answer_bytes` how much of a response is held in
    memory.
    """

    api_key: str = field(repr=False)
    base_url: str = "https://api.openai.com/v1"
    name: str = "openai"
    organization: str = ""
    project: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    stream: bool = True
    call_s: float = 600.0
    max_answer_bytes: int = 64 * MIB

    def all_headers(self) -> dict[str, str]:
        """Return the headers of every call; without a key there is no Authorization header."""
        own = {
            "Authorization": f"Bearer {self.api_key}" if self.api_key else "",
            "OpenAI-Organization": self.organization,
            "OpenAI-Project": self.project,
        }
        return {name: value for name, value in own.items() if value} | dict(self.headers)
