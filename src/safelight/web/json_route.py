"""Reads JSON bodies strictly: NaN, Infinity and numbers beyond a double are not JSON."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, Never

from fastapi import Request, Response
from fastapi.routing import APIRoute

NOT_FINITE = "must not contain NaN, Infinity or numbers beyond 1.8e308"


class JsonRoute(APIRoute):
    """A route whose requests read JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def canonical(value: object) -> bytes:
    """Return `value` as JSON with sorted members, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class _StrictRequest(Request):
    _parsed: Any = None

    async def json(self) -> Any:
        """Return the body; raise `json.JSONDecodeError` if it is not JSON."""
        if self._parsed is None:
            body = await self.body()
            self._parsed = json.loads(body, parse_constant=_refuse, parse_float=_finite)
        return self._parsed


def _refuse(text: str) -> Never:
    raise json.JSONDecodeError(NOT_FINITE, text, 0)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)
