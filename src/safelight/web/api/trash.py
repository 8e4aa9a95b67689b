"""Routes for the trash and the audit log."""

from dataclasses import asdict
from typing import Annotated, cast

from fastapi import APIRouter, Query, Response

from safelight import documents
from safelight.assets.errors import OnHold
from safelight.assets.lifecycle.trash_store import Trashed
from safelight.assets.view import asset_document
from safelight.errors import StorageFull
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, cursor_after
from safelight.web.auth import AccountReader, AssetReader, AssetWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["assets"])
audit_router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["account"])

_Word = Annotated[str | None, Query(max_length=64)]


@router.get("/trash", **returns(documents.TrashList))
async def list_trash(
    caller: AssetReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the assets in the trash, newest first."""
    found = await services.trash.page(caller.account_id, before=cursor, limit=limit + 1)
    shown = [_document(each) for each in found[:limit]]
    document: documents.TrashList = {
        "data": shown,
        "next_cursor": cursor_after(shown, more=len(found) > limit),
    }
    return json_response(document)


@router.post("/trash/{asset_id}/restore", **returns(documents.Asset, StorageFull))
async def restore_asset(asset_id: str, caller: AssetWriter, services: Parts) -> Response:
    """Restore an asset from the trash, with its metadata and new URLs."""
    asset = await services.trash.restore(caller.account_id, asset_id, actor=caller.key_id)
    return json_response(asset_document(asset, services.links))


@router.delete("/trash/{asset_id}", **returns(None, OnHold, status=204))
async def purge_asset(asset_id: str, caller: AssetWriter, services: Parts) -> Response:
    """Delete an asset from the trash permanently."""
    await services.trash.purge(caller.account_id, asset_id, actor=caller.key_id)
    return Response(status_code=204)


@audit_router.get("/audit", **returns(documents.AuditList))
async def list_audit(
    caller: AccountReader,
    services: Parts,
    *,
    subject: _Word = None,
    action: _Word = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return the audit log of your account, newest first."""
    found = await services.audit.page(
        caller.account_id, before=cursor, limit=limit, subject=subject, action=action
    )
    data = [cast("documents.AuditLine", asdict(line)) for line in found.rows]
    document: documents.AuditList = {"data": data, "next_cursor": found.next}
    return json_response(document)


def _document(trashed: Trashed) -> documents.TrashedAsset:
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
