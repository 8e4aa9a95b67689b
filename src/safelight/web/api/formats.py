"""Routes for 3D models in other formats: converted on first request, then at a permanent URL."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from safelight.assets.asset import Asset
from safelight.assets.errors import FormatUnavailable
from safelight.cpu import OutOfResources
from safelight.errors import NotFound, StorageFull
from safelight.media.errors import MediaUnsupported
from safelight.media.models.convert import ModelFormat
from safelight.single_flight import Busy
from safelight.web.auth import AssetReader, Parts
from safelight.web.contract import redirects
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["assets"])

CONVERSION_PROBLEMS = (FormatUnavailable, MediaUnsupported, Busy, OutOfResources, StorageFull)

FormatQuery = Annotated[
    ModelFormat | None,
    Query(alias="format", description="For 3D models: a format to convert to."),
]


@router.get("/assets/{asset_id}/formats/{form}", **redirects(*CONVERSION_PROBLEMS))
async def get_asset_format(
    asset_id: str, form: ModelFormat, caller: AssetReader, services: Parts
) -> Response:
    """Redirect to a 3D model in another format, converted on first request.

    OBJ is a ZIP with its materials and textures. Lengths are meters.
    """
    asset = await services.assets.get(caller.account_id, asset_id)
    key = await key_in_format(services, asset, form)
    return RedirectResponse(services.links.download(key, caller.account_id), 303)


async def key_in_format(services: Services, asset: Asset, form: ModelFormat | None) -> str:
    """Return the key of an asset's public copy, or of its conversion if `form` names one."""
    if form is not None:
        return (await services.files.conversions.open(asset, form)).key
    if asset.key is None:
        raise NotFound("The asset has no public copy.")
    return asset.key
