"""Routes for `safelight doctor`: checks of each part, and of each vendor's credentials."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from safelight import documents, telemetry
from safelight.documents.operations import CheckStatus
from safelight.errors import NotFound, SafelightError, ServiceError
from safelight.jobs.fields import Name
from safelight.providers.errors import UnknownModel
from safelight.providers.provider import Lane, Provider
from safelight.web.answers import json_response
from safelight.web.auth import AdminReader, AdminWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, prefix="/v1/admin/checks", tags=["operations"])

_CHECK_S = 20.0
_log = telemetry.logger(__name__)


@router.post("", **returns(documents.CheckList))
async def check_installation(caller: AdminReader, services: Parts) -> Response:
    """Check every part of this installation and every provider, at no cost."""
    parts: Mapping[str, Callable[[], Awaitable[object]]] = (
        services.health.checks | services.health.soft_checks
    )
    found = await asyncio.gather(
        *(_result(name, check) for name, check in parts.items()),
        _decoders(services),
        _sealing(services),
        *(_of_provider(services, plug) for plug in services.registry.providers),
    )
    document: documents.CheckList = {"data": [_public_address(services), *found]}
    return json_response(document)


@router.post("/{provider}", **returns(documents.CheckList))
async def check_provider(provider: Name, caller: AdminWriter, services: Parts) -> Response:
    """Check the credentials of one provider, at no cost."""
    try:
        plug = services.registry.provider(provider)
    except UnknownModel:
        known = ", ".join(each.name for each in services.registry.providers)
        raise NotFound(f"There is no provider {provider!r}. Installed: {known}.") from None
    document: documents.CheckList = {"data": [await _of_provider(services, plug)]}
    return json_response(document)


def _public_address(services: Services) -> documents.Check:
    address = services.callback_addresses.base_url
    if address:
        return _document("callbacks", "ok", f"providers are told to report to {address}")
    return _document(
        "callbacks",
        "unknown",
        "providers cannot report, and are asked instead: set SAFELIGHT_PUBLIC_URL",
    )


async def _sealing(services: Services) -> documents.Check:
    advice = ""

    async def check() -> None:
        nonlocal advice
        advice = await services.health.sealing()

    found = await _result("encryption", check, empty="secrets in the database are encrypted")
    if advice and found["status"] == "ok":
        return {**found, "status": "unknown", "detail": advice}
    return found


async def _decoders(services: Services) -> documents.Check:
    async def check() -> None:
        if holes := await services.health.codec_holes():
            raise ServiceError("; ".join(holes))

    gaps = services.health.cage_gaps()
    found = await _result("decoders", check, empty="; ".join(gaps) or "caged")
    return {**found, "status": "unknown"} if gaps and found["status"] == "ok" else found


async def _of_provider(services: Services, plug: Provider) -> documents.Check:
    models = [model.id for model in plug.capabilities()]
    address = None
    if plug.shares_callback_address:
        address = await services.callback_addresses.shared(plug.name)
    lanes = {model.lane.value for model in plug.capabilities()}
    if Lane.GPU in lanes and not lanes & services.health.lanes_here:
        found = _document(plug.name, "unknown", "its workers are elsewhere: run doctor there")
    else:
        found = await _result(plug.name, plug.verify, empty="nobody to ask")
    return {**found, "models": models, "callback_url": address}


async def _result(
    name: str, check: Callable[[], Awaitable[object]], *, empty: str = ""
) -> documents.Check:
    try:
        async with asyncio.timeout(_CHECK_S):
            told = await check()
    except TimeoutError:
        return _document(name, "failed", f"no answer within {_CHECK_S:g} s")
    except SafelightError as error:
        return _document(name, "failed", error.detail or error.title, code=error.code)
    except Exception as error:  # noqa: BLE001  a check reports whatever is wrong
        _log.warning("a check failed", check=name, exc_info=error)
        return _document(name, "failed", "it raised an error; see the log")
    return _document(name, "ok", told if isinstance(told, str) and told else empty)


def _document(name: str, status: CheckStatus, detail: str, *, code: str = "") -> documents.Check:
    return {"name": name, "status": status, "detail": detail, "code": code or None}
