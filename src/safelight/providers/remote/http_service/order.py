"""Resolves each `$name` of a template for one job."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from safelight.json_object import as_object
from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, Model, ProviderRequest, Role
from safelight.providers.remote.api import Sending
from safelight.providers.remote.http_service.service import HttpService
from safelight.providers.remote.http_service.template import fill


@dataclass(frozen=True, slots=True)
class Order:
    """One job for one service; only files that the template uses are read."""

    service: HttpService
    model: Model
    request: ProviderRequest
    attempt_id: str
    callback_url: str | None = field(repr=False)

    def sending(self) -> Sending:
        """Return the payload. Blocks: call it off the event loop."""
        self._check_inputs()
        query = cast("dict[str, object]", fill(dict(self.service.query), self.value_of))
        return Sending(
            json=fill(self.service.body, self.value_of),
            params={name: _text(value) for name, value in query.items()} or None,
            headers={"Idempotency-Key": self.attempt_id},
        )

    def value_of(self, name: str) -> object:
        """Return the value of `$name`, or None if the job has none."""
        head, _, rest = name.partition(".")
        match head:
            case "params":
                return _within(self.request.params, rest)
            case "input":
                return self._of_input(rest)
            case "inputs":
                return [_FORMS[rest](file) for file in self._references()] or None
            case _:
                return self._plain()[head]

    def _plain(self) -> Mapping[str, object]:
        return {
            "prompt": self.request.prompt,
            "model": self.model.vendor_id or self.model.id,
            "kind": self.request.kind.value,
            "attempt": self.attempt_id,
            "callback_url": self.callback_url,
        }

    def _of_input(self, rest: str) -> object:
        which, _, form = rest.partition(".")
        if which.isdigit():
            files = self._references()[int(which) :]
        else:
            files = [file for file in self.request.inputs if file.role == which]
        return _FORMS[form](files[0]) if files else None

    def _references(self) -> list[InputFile]:
        return [file for file in self.request.inputs if file.role is not Role.MASK]

    def _check_inputs(self) -> None:
        size = sum(file.path.stat().st_size for file in self.request.inputs)
        if size > self.service.max_input_bytes:
            raise ProviderBadInput(
                f"The inputs have {size} bytes; at most {self.service.max_input_bytes} are sent."
            )


def _base64(file: InputFile) -> str:
    return base64.b64encode(file.path.read_bytes()).decode()


_FORMS: Mapping[str, Callable[[InputFile], str]] = {
    "base64": _base64,
    "data_uri": lambda file: f"data:{file.media_type};base64,{_base64(file)}",
    "media_type": lambda file: file.media_type,
    "name": lambda file: file.name,
}


def _within(params: Mapping[str, object], place: str) -> object:
    value: object = dict(params)
    for step in place.split(".") if place else ():
        value = as_object(value).get(step)
    return value


def _text(value: object) -> str:
    """Return a value as it is written in a URL."""
    return str(value).lower() if isinstance(value, bool) else str(value)
