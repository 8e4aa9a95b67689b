"""Looks for secrets in what the processes of tests have printed: none may ever stand there."""

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from safelight.settings import Settings
from safelight.settings.secret_files import is_secret

# What this installation makes itself is known by its looks, wherever it comes from.
_OURS = {
    "a key, session, login link or token": re.compile(r"\b(?:sk|ses|lnk|tok)_[0-9a-z]{20,}"),
    "a webhook's secret": re.compile(r"whsec_[\w+/=-]{16,}"),
    "a signature of an address": re.compile(
        r"\b(?:sig|signature|x-amz-signature)=[\w%-]{8,}", re.IGNORECASE
    ),
    "the token of a callback": re.compile(r"/callbacks/[\w-]+/\w+\.[\w-]{8,}"),
    "the secret of a link": re.compile(r"[?&](?:code|token)=[\w%-]{8,}"),
    "a header that signs in": re.compile(r"\b(?:Bearer|Basic|Key) [\w:+/=.-]{8,}"),
}
_ELSEWHERE = re.compile(r"(?<!_ID)_?(?:KEY|TOKEN|SECRET|PASSWORD)$")
_LEAST = 6  # characters of what is looked for: less is found by chance

_SECRET_SETTINGS = frozenset(
    f"SAFELIGHT_{name}".upper() for name, field in Settings.model_fields.items() if is_secret(field)
)


class Leaks:
    """The logs of all processes of this run, and the secrets that these were given or gave away."""

    def __init__(self) -> None:
        self._logs: set[Path] = set()
        self._secrets: dict[str, str] = {}  # what it is, by the secret

    def watch(self, log: Path, environment: Mapping[str, str]) -> None:
        """Look into a log, and for what its process is given by its environment."""
        self._logs.add(log)
        for name, value in environment.items():
            ours = name.startswith("SAFELIGHT_")
            if name in _SECRET_SETTINGS or (not ours and _ELSEWHERE.search(name)):
                self.note(value, name)
            if password := _password(value):
                self.note(password, f"the password in {name}")

    def note(self, secret: str, what: str) -> None:
        """Look for a secret from now on, as it is and as protocols spell it."""
        for spelled in (secret, unquote(secret), base64.b64encode(secret.encode()).decode()):
            if len(spelled) >= _LEAST:
                self._secrets[spelled] = what

    async def hear(self, answer: httpx2.Response) -> None:
        """Note what an API answer gives away; a hook for clients."""
        if answer.headers.get("content-type") != "application/json":
            return
        await answer.aread()
        for name, value in re.findall(r'"(secret|signing_key)":"([^"]+)"', answer.text):
            self.note(value, f"a {name} that the API told")

    def found(self) -> list[str]:
        """Return the lines of the logs that hold a secret, each with what it is."""
        return [line for log in sorted(self._logs) for line in self.found_in(log)]

    def found_in(self, log: Path) -> Iterator[str]:
        """Yield such lines of one log."""
        text = log.read_text(errors="replace") if log.exists() else ""
        known = re.compile("|".join(map(re.escape, self._secrets)) or r"(?!)")
        for line in text.splitlines():
            for what, looks in _OURS.items():
                if looks.search(line):
                    yield f"{log.name}: {what}: {line}"
            for secret in set(known.findall(line)):
                yield f"{log.name}: {self._secrets[secret]}: {line}"


def _password(value: str) -> str | None:
    try:
        return urlsplit(value).password
    except ValueError:
        return None


LEAKS = Leaks()
"""Those of this test process."""
