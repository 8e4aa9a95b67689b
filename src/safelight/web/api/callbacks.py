"""Callback routes of providers; the URL is the credential, the signature the proof."""

from fastapi import APIRouter, Request, Response

from safelight.doorbell import doorbell
from safelight.jobs.callbacks import MAX_BODY
from safelight.web.auth import Parts
from safelight.web.errors import TooLarge
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, tags=["callbacks"])


@router.post("/callbacks/{provider}/{token}", status_code=204, include_in_schema=False)
async def receive(request: Request, provider: str, token: str, services: Parts) -> Response:
    """Receive a provider's callback about one of its jobs."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise TooLarge(f"At most {MAX_BODY} bytes are taken.")
    woken = await services.callbacks.receive(provider, token, request.headers, bytes(body))
    if woken is not None:
        services.bell.ring(doorbell.lane(woken.lane))
    return Response(status_code=204)
