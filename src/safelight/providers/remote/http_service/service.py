"""Configuration of one HTTP service: its URL, its requests, its responses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import ConfigDict

from safelight.providers.provider import Model, Role
from safelight.providers.remote.api import MIB
from safelight.providers.remote.http_service.signature import key_of
from safelight.providers.remote.http_service.template import names

_STRICT = ConfigDict(extra="forbid")

TICKET = "$ticket"
ATTEMPT = "$attempt"
FILE = "$file"

_FORMS = "base64|data_uri|media_type|name"
_ROLES = "|".join(Role)
_KNOWN = re.compile(
    rf"prompt|model|kind|attempt|callback_url|params(\..+)?"
    rf"|input\.([0-9]{{1,2}}|{_ROLES})\.({_FORMS})|inputs\.({_FORMS})",
    re.ASCII,
)
_ALLOWED = (
    "$prompt, $model, $kind, $attempt, $callback_url, $params, $params.NAME, $input.N.FORM and "
    f"$input.ROLE.FORM, $inputs.FORM; FORM is {_FORMS.replace('|', ', ')}; "
    f"ROLE is {_ROLES.replace('|', ', ')}"
)


@dataclass(frozen=True, slots=True)
class Later:
    """How to poll a service that responds with a job of its own.

    `ticket`, `status` and `progress` (0 to 1, or percent) are paths in its responses; the URLs
    contain `$ticket`. The files are in the response whose status is in `done`, or at `result_url`.
    `find_url` contains `$attempt` and responds like `status_url`: it finds requests whose response
    was lost, within `adopts_within`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ticket: str
    status_url: str
    status: str = "status"
    done: frozenset[str] = frozenset({"done", "completed", "succeeded", "success", "finished"})
    failed: frozenset[str] = frozenset({"failed", "error", "canceled", "cancelled", "expired"})
    progress: str = ""
    result_url: str = ""
    cancel_url: str = ""
    cancel_method: str = "DELETE"
    find_url: str = ""
    adopts_within: timedelta = timedelta(minutes=15)
    pace: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Signing:
    """How callbacks are signed: by Standard Webhooks, or with the body's HMAC in `header`.

    `adopts_within` is how long after a lost response a callback may still report the job.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    secret: str = field(repr=False)
    header: str = ""
    adopts_within: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        """Raise `ValueError` for a malformed secret."""
        key_of(self.secret)


@dataclass(frozen=True, slots=True)
class HttpService:
    """One service. `body` and `query` are JSON templates with strings such as `$prompt`.

    `media` is the path of the files in a response, as URLs or base64; if it is empty, the response
    is the file. With `file_url` the response has file names, which replace its `$file`. `error` is
    the path of a failure's reason, and `facts` are paths of values to store with the result.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    url: str
    models: tuple[Model, ...]
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: object = None
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    media: str = ""
    file_url: str = ""
    error: str = "error"
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    later: Later | None = None
    signing: Signing | None = None
    timeout_s: float = 120.0
    max_input_bytes: int = 20 * MIB  # of all inputs of a job together
    max_answer_bytes: int = 64 * MIB  # as JSON; a file may be larger

    def __post_init__(self) -> None:
        """Raise `ValueError` for a configuration that cannot work."""
        _check_address(self.url)
        if self.file_url:
            _check_address(self.file_url, FILE)
        if self.later:
            _check_later(self.later)
            if not self.media and not self.later.result_url:
                raise ValueError("An asynchronous service needs media or a result_url.")
        elif self.signing:
            raise ValueError("A synchronous service sends no callbacks.")
        for model in self.models:
            if model.provider != self.name:
                raise ValueError(f"The model {model.id} must have {self.name} as its provider.")
        self._check_names()

    @property
    def adopts_within(self) -> timedelta:
        """How long a start whose response was lost may be found; zero if it cannot be."""
        found = self.later.adopts_within if self.later and self.later.find_url else timedelta()
        return max(found, self.signing.adopts_within if self.signing else timedelta())

    @property
    def is_called_back(self) -> bool:
        """Whether requests carry a callback URL and callbacks are signed."""
        asks = {name for name, _ in self._asks()}
        return self.signing is not None and "callback_url" in asks

    def _check_names(self) -> None:
        params = {
            name for model in self.models for name in model.params_schema.get("properties", {})
        }
        for name, place in self._asks():
            first, _, param = name.partition(".")
            if not _KNOWN.fullmatch(name):
                raise ValueError(f"{place}: ${name} is unknown. Allowed: {_ALLOWED}.")
            if first == "params" and param and param.partition(".")[0] not in params:
                allowed = ", ".join(f"$params.{each}" for each in sorted(params)) or "none"
                raise ValueError(f"{place}: no model here has the param of ${name}: {allowed}.")
            if name == "callback_url" and not self.signing:
                raise ValueError(
                    "A service that receives $callback_url must sign callbacks: set signing.secret."
                )

    def _asks(self) -> list[tuple[str, str]]:
        return [*names(self.body, "body"), *names(self.query, "query")]


def _check_later(later: Later) -> None:
    _check_address(later.status_url, TICKET)
    for address in filter(None, (later.result_url, later.cancel_url)):
        _check_address(address, TICKET)
    if later.find_url:
        _check_address(later.find_url, ATTEMPT)
    if not later.ticket or not later.status:
        raise ValueError("An asynchronous service needs the paths of ticket and status.")
    if any(word != word.lower() for word in later.done | later.failed):
        raise ValueError("The values of done and failed must be lower case.")


def _check_address(address: str, holds: str = "") -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{address} is not an http or https URL.")
    if holds and holds not in address.removeprefix(f"{parts.scheme}://{parts.netloc}"):
        raise ValueError(f"{address} must contain {holds} after its host.")
