"""Assets: upload one to refer to, list, look, delete."""

from fastapi import APIRouter, Request, Response

from safelight.assets.asset import AssetKind
from safelight.assets.view import asset_document
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, paged
from safelight.web.auth import Parts, Reader, Writer
from safelight.web.uploads import received

router = APIRouter(prefix="/v1", tags=["assets"])

_FILE_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post("/uploads", status_code=201, openapi_extra=_FILE_SCHEMA)
async def upload(request: Request, caller: Writer, services: Parts) -> Response:
    """Keep one picture, to show or to refer to from a prompt."""
    await services.check_space()
    async with received(
        request,
        folder=services.scratch,
        field="file",
        max_files=1,
        max_file_bytes=services.limits.upload_bytes,
    ) as (uploads, _):
        sent = uploads[0]
        asset = await services.assets.upload(sent.path, sent.name, caller.account_id)
    document = asset_document(asset, base_url=services.public_url)
    return json_response(document, 201, {"Location": f"/v1/assets/{asset.id}"})


@router.get("/assets")
async def list_assets(
    caller: Reader,
    services: Parts,
    kind: AssetKind | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return your pictures and 3D models, newest first."""
    found = await services.assets.page(caller.account_id, kind=kind, before=cursor, limit=limit + 1)
    base_url = services.public_url
    shown = [asset_document(asset, base_url=base_url) for asset in found[:limit]]
    return json_response(paged(shown, more=len(found) > limit))


@router.get("/assets/{asset_id}")
async def get_asset(asset_id: str, caller: Reader, services: Parts) -> Response:
    """Return one asset with all its facts."""
    asset = await services.assets.get(caller.account_id, asset_id)
    return json_response(asset_document(asset, base_url=services.public_url))


@router.delete("/assets/{asset_id}", status_code=204)
async def delete_asset(asset_id: str, caller: Writer, services: Parts) -> Response:
    """Remove an asset's row, its bytes and its renditions."""
    await services.assets.delete(caller.account_id, asset_id)
    return Response(status_code=204)
