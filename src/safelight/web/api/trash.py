"""Deleted assets that can be had back, and the audit log that tells who deleted them."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from safelight.assets.lifecycle.trash_store import Trashed
from safelight.assets.view import asset_document
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, paged
from safelight.web.auth import Parts, Reader, Writer

router = APIRouter(prefix="/v1", tags=["assets"])

_Word = Annotated[str | None, Query(max_length=64)]


@router.get("/trash")
async def list_trash(
    caller: Reader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return deleted assets that can be had back, newest first."""
    found = await services.trash.page(caller.account_id, before=cursor, limit=limit + 1)
    shown = [_document(each) for each in found[:limit]]
    return json_response(paged(shown, more=len(found) > limit))


@router.post("/trash/{asset_id}/restore")
async def restore(asset_id: str, caller: Writer, services: Parts) -> Response:
    """Bring a deleted asset back, with all that was said of it. Its addresses are new ones."""
    asset = await services.trash.restore(caller.account_id, asset_id, actor=caller.key_id)
    return json_response(asset_document(asset, services.links))


@router.delete("/trash/{asset_id}", status_code=204)
async def purge(asset_id: str, caller: Writer, services: Parts) -> Response:
    """Remove a deleted asset for good."""
    await services.trash.purge(caller.account_id, asset_id, actor=caller.key_id)
    return Response(status_code=204)


@router.get("/audit", tags=["account"])
async def list_audit(
    caller: Reader,
    services: Parts,
    *,
    subject: _Word = None,
    action: _Word = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return who did what to what you keep, newest first."""
    found = await services.audit.page(
        caller.account_id, before=cursor, limit=limit, subject=subject, action=action
    )
    data = [asdict(line) for line in found.rows]
    return json_response({"data": data, "next_cursor": found.next})


def _document(trashed: Trashed) -> dict[str, Any]:
    asset = trashed.asset
    return {
        "id": asset.id,
        "kind": asset.kind.value,
        "name": asset.name,
        "media_type": asset.media_type,
        "bytes": asset.bytes,
        "created_at": asset.created_at,
        "deleted_at": trashed.deleted_at,
        "purge_at": trashed.purge_at,
    }
