"""Probes: is the process alive, can it serve, and its metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from safelight import errors, telemetry
from safelight.web.answers import json_response
from safelight.web.auth import Parts
from safelight.web.services import Services

router = APIRouter(tags=["health"])

_CHECK_S = 3.0
_log = telemetry.logger(__name__)


@router.get("/health/live")
async def live() -> Response:
    """Say that the process runs."""
    return json_response({"status": "ok"})


@router.get("/health/ready")
async def ready(services: Parts) -> Response:
    """Say whether this process can serve: database, storage and disk.

    Without its doorbell it can, only later: then it is `degraded`, and ready all the same.
    """
    checks = services.checks | services.soft_checks
    results = await asyncio.gather(*(_probe(check) for check in checks.values()))
    found = dict(zip(checks, results, strict=True))
    failed = {name for name, result in found.items() if result["status"] != "ok"}
    document = {"status": _verdict(services, failed), "checks": found}
    return json_response(document, 200 if document["status"] in ("ok", "degraded") else 503)


def _verdict(services: Services, failed: set[str]) -> str:
    if services.stopping.is_set():
        return "stopping"
    if failed & set(services.checks):
        return "unready"
    return "degraded" if failed else "ok"


async def _probe(check: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_CHECK_S):
            await check()
    except TimeoutError:
        return {"status": "failed", "detail": f"no answer within {_CHECK_S:g} s"}
    except errors.SafelightError as error:
        return {"status": "failed", "detail": error.detail}
    except Exception as error:  # noqa: BLE001  a probe reports whatever is wrong
        _log.warning("readiness check failed", exc_info=error)
        return {"status": "failed", "detail": "it raised an error; see the log"}
    return {"status": "ok"}


@router.get("/metrics")
async def metrics() -> Response:
    """Return this process's metrics in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/problems/{code}")
async def problem(code: str) -> Response:
    """Explain an error code; a problem's `type` leads here."""
    kind = errors.codes().get(code)
    if kind is None:
        raise errors.NotFound("There is no such error code.")
    return json_response(
        {
            "code": code,
            "status": kind.status,
            "title": kind.title,
            "meaning": " ".join((kind.__doc__ or "").split()),
        }
    )
