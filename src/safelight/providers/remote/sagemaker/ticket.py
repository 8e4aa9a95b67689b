"""Ticket of a request: the object names to look for in the configured S3 locations."""

import re
from dataclasses import asdict, dataclass
from typing import Self, cast

import orjson

from safelight.providers.errors import ProviderRejected
from safelight.providers.remote.sagemaker.place import is_name

_ATTEMPT = re.compile(r"att_[0-9a-z]{1,60}", re.ASCII)
_ENDPOINT = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}", re.ASCII)
_FILE = "answer"
_MAX_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request. `output` and `failure` are object names, never buckets or URLs.

    `endpoint` is empty if the request was found by its result.
    """

    attempt: str
    endpoint: str
    output: str
    failure: str

    def __post_init__(self) -> None:
        if not (
            is_attempt(self.attempt)
            and (not self.endpoint or is_endpoint(self.endpoint))
            and is_name(self.output)
            and is_name(self.failure)
        ):
            raise ValueError("invalid ticket")

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse a ticket from `write`; raise `ProviderRejected` for anything else."""
        try:
            # For any other JSON, one of the next lines raises.
            known = cast("dict[str, str]", orjson.loads(text[:_MAX_BYTES]))
            names = [known[name] for name in ("attempt", "endpoint", "output", "failure")]
            return cls(*names)
        except (KeyError, TypeError, ValueError):  # JSONDecodeError is a ValueError
            raise ProviderRejected("Unknown ticket.") from None

    def write(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def folder_of(attempt_id: str) -> str:
    """Return an attempt's own folder in the output and failure locations."""
    return attempt_id


def file_name() -> str:
    """Return the requested file name of the result in that folder."""
    return _FILE


def foretold(attempt_id: str) -> str:
    """Return the expected object name of an attempt's result."""
    return f"{folder_of(attempt_id)}/{_FILE}"


def is_attempt(text: str) -> bool:
    return bool(_ATTEMPT.fullmatch(text))


def is_endpoint(text: str) -> bool:
    return bool(_ENDPOINT.fullmatch(text))
