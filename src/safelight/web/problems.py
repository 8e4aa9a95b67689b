"""Turns every error into one RFC 9457 problem document."""

from http import HTTPStatus
from typing import cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException  # noqa: TID251  handled, never raised

from safelight import errors, telemetry
from safelight.errors import SafelightError
from safelight.json_object import JsonObject
from safelight.web.errors import MethodNotAllowed, TooLarge
from safelight.web.json_route import NOT_FINITE

MEDIA_TYPE = "application/problem+json"

_NO_JSON_HEADER = "Send the body as JSON with the header `Content-Type: application/json`."
_log = telemetry.logger(__name__)
_MALFORMED = "This is malformed; see the API reference."  # says more than a regular expression
_BY_STATUS: dict[int, type[SafelightError]] = {
    400: errors.RequestError,
    404: errors.NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    422: errors.InvalidRequest,
}


def install(app: FastAPI) -> None:
    """Make `app` answer every failure with a problem."""
    app.add_exception_handler(SafelightError, _on_own)
    app.add_exception_handler(HTTPException, _on_framework)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Exception, _on_unexpected)


def respond(
    request: Request, error: SafelightError, headers: dict[str, str] | None = None
) -> Response:
    """Return `error` as a response that carries the request's id."""
    document = error.problem() | {
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", None),
    }
    extra = dict(headers or {})
    if error.retry_after is not None:
        extra["Retry-After"] = str(max(1, round(error.retry_after.total_seconds())))
    elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = "5"
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(document), error.status, extra, MEDIA_TYPE)


async def _on_own(request: Request, error: Exception) -> Response:
    return respond(request, cast("SafelightError", error))


async def _on_framework(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    kind = _BY_STATUS.get(error.status_code, errors.RequestError)
    detail = "" if error.status_code in (404, 405) else str(error.detail)
    return respond(request, kind(detail), dict(error.headers or {}))


async def _on_validation(request: Request, error: Exception) -> Response:
    error = cast("RequestValidationError", error)
    found: list[JsonObject] = []
    for item in error.errors():
        if item["type"] == "json_invalid":
            if item["ctx"]["error"] == NOT_FINITE:
                found.append({"field": "body", "message": NOT_FINITE})
                continue
            return respond(request, errors.RequestError("The body is not valid JSON."))
        if item["loc"] == ("body",) and isinstance(error.body, bytes):
            return respond(request, errors.RequestError(_NO_JSON_HEADER))
        place = [
            str(part) for part in item["loc"] if part not in ("body", "query", "path", "header")
        ]
        found.append(
            {
                "field": ".".join(place) or "body",
                "message": _MALFORMED
                if item["type"] == "string_pattern_mismatch"
                else str(item["msg"]).removeprefix("Value error, "),
            }
        )
    return respond(request, errors.InvalidRequest(errors=found))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    _log.error("request failed", exc_info=error)
    return respond(request, SafelightError())
