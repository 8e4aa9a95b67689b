"""Routes for probes, metrics and error codes."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from safelight import documents, errors, telemetry
from safelight.documents.operations import ReadinessStatus
from safelight.web.answers import json_response
from safelight.web.auth import Parts, SeesDetails, may_look
from safelight.web.contract import JSON, ref, response, returns, sends
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, tags=["health"])

_CHECK_S = 3.0
READY = returns(documents.Readiness)
READY["responses"][503] = response(503, {JSON: {"schema": ref(documents.Readiness)}})
_log = telemetry.logger(__name__)


@router.get("/health/live", **returns(documents.Liveness))
async def get_liveness() -> Response:
    """Liveness probe."""
    document: documents.Liveness = {"status": "ok"}
    return json_response(document)


@router.get("/health/ready", **READY)
async def get_readiness(services: Parts, sees_details: SeesDetails) -> Response:
    """Readiness probe: database, storage and disk.

    Without its doorbell it is `degraded` but still ready: work only starts later. The checks are
    shown where `SAFELIGHT_OPEN_PROBES` says, or to an admin.
    """
    checks = services.health.checks | services.health.soft_checks
    results = await asyncio.gather(*(_probe(check) for check in checks.values()))
    found = dict(zip(checks, results, strict=True))
    failed = {name for name, result in found.items() if result["status"] != "ok"}
    document: documents.Readiness = {
        "status": _verdict(services, failed),
        "checks": found if sees_details else {},
    }
    return json_response(document, 200 if document["status"] in ("ok", "degraded") else 503)


def _verdict(services: Services, failed: set[str]) -> ReadinessStatus:
    if services.stopping.is_set():
        return "stopping"
    if failed & set(services.health.checks):
        return "unready"
    return "degraded" if failed else "ok"


async def _probe(check: Callable[[], Awaitable[object]]) -> documents.Probe:
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


@router.get("/metrics", dependencies=[Depends(may_look)], **sends(["text/plain"]))
async def get_metrics() -> Response:
    """Return this process's metrics in Prometheus's text format.

    They are for everyone or for admins, as `SAFELIGHT_OPEN_PROBES` says.
    """
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/problems/{code}", **returns(documents.ProblemType))
async def get_problem_type(code: str) -> Response:
    """Explain an error code; the `type` of a problem links here."""
    kind = errors.codes().get(code)
    if kind is None:
        raise errors.NotFound("There is no such error code.")
    document: documents.ProblemType = {
        "code": code,
        "status": kind.status,
        "title": kind.title,
        "meaning": " ".join((kind.__doc__ or "").split()),
    }
    return json_response(document)
