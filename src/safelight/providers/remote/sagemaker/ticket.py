"""The ticket of a request: what to look for in the places that the settings name."""

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
    """One request. `output` and `failure` are names in their places, never buckets or addresses.

    `endpoint` is empty where the request was found by its answer.
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
            raise ValueError("no such ticket can be")

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what `write` wrote; raise `ProviderRejected` for anything else."""
        try:
            # Where it is another kind of JSON, one of the next lines raises.
            known = cast("dict[str, str]", orjson.loads(text[:_MAX_BYTES]))
            names = [known[name] for name in ("attempt", "endpoint", "output", "failure")]
            return cls(*names)
        except (KeyError, TypeError, ValueError):  # JSONDecodeError is a ValueError
            raise ProviderRejected("There is no such ticket.") from None

    def write(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def folder_of(attempt_id: str) -> str:
    """Return the folder, in the places of outputs and failures, that is an attempt's own."""
    return attempt_id


def file_name() -> str:
    """Return what the endpoint is asked to call its answer there."""
    return _FILE


def foretold(attempt_id: str) -> str:
    """Return the name that an attempt's answer should get."""
    return f"{folder_of(attempt_id)}/{_FILE}"


def is_attempt(text: str) -> bool:
    return bool(_ATTEMPT.fullmatch(text))


def is_endpoint(text: str) -> bool:
    return bool(_ENDPOINT.fullmatch(text))
