"""What an operator says of one server that speaks OpenAI's image protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.providers.api import MIB

MAX_PARTIAL_IMAGES = 3  # what the protocol takes


@dataclass(frozen=True, slots=True)
class OpenAiConfig:
    """One server: `base_url` ends with the version, such as `/v1`.

    `stream` asks for an answer in pieces where one picture is wanted, with as many rough
    `partial_images` on the way; OpenAI bills each of them. `call_s` is the longest that a call may
    take, and `max_answer_bytes` how much of an answer is held in memory.
    """

    api_key: str
    base_url: str = "https://api.openai.com/v1"
    name: str = "openai"
    organization: str = ""
    project: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    stream: bool = True
    partial_images: int = 0
    call_s: float = 600.0
    max_answer_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        if not 0 <= self.partial_images <= MAX_PARTIAL_IMAGES:
            raise ValueError(f"partial_images must be 0 to {MAX_PARTIAL_IMAGES}.")

    def all_headers(self) -> dict[str, str]:
        """Return what is sent with every call; a server without a key gets none."""
        own = {
            "Authorization": f"Bearer {self.api_key}" if self.api_key else "",
            "OpenAI-Organization": self.organization,
            "OpenAI-Project": self.project,
        }
        return {name: value for name, value in own.items() if value} | dict(self.headers)
