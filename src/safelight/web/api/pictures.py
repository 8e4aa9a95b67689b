"""Routes that sign URLs of on-the-fly pictures."""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from safelight import documents
from safelight.assets.errors import NoPublicPicture
from safelight.errors import InvalidRequest
from safelight.media.pictures.spec import DEFAULT_QUALITY, MAX_QUALITY, MAX_SIDE, Fit, Format, Spec
from safelight.web.answers import json_response
from safelight.web.auth import AssetReader, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["assets"])


class PictureQuery(BaseModel):
    """The parameters of an on-the-fly picture."""

    model_config = ConfigDict(extra="forbid")

    w: int | None = Field(None, ge=1, le=MAX_SIDE, description="Width of the box, in pixels.")
    h: int | None = Field(None, ge=1, le=MAX_SIDE, description="Height of the box, in pixels.")
    fit: Fit = Field(
        Fit.CONTAIN,
        description="Fit the picture inside the box, cover the box and crop, or stretch.",
    )
    format: Format = Field(Format.AUTO, description="`auto` negotiates by the request's `Accept`.")
    quality: int = Field(DEFAULT_QUALITY, ge=1, le=MAX_QUALITY, description="Not for PNG.")

    def spec(self) -> Spec:
        """Parse the parameters; raise `InvalidRequest` for invalid combinations."""
        return Spec(self.w, self.h, self.fit, self.format, self.quality)


def refuse_repeated(request: Request) -> None:
    """Raise `InvalidRequest` for a repeated parameter: parsers differ in which one they use."""
    counted = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, times in counted.items() if times > 1]
    if repeated:
        raise InvalidRequest(
            errors=[{"field": name, "message": "This may come only once."} for name in repeated]
        )


@router.get("/assets/{asset_id}/renditions", **returns(documents.SignedRendition, NoPublicPicture))
async def sign_rendition(
    request: Request,
    asset_id: str,
    caller: AssetReader,
    services: Parts,
    query: Annotated[PictureQuery, Query()],
) -> Response:
    """Return the signed URL of a picture in another size or format, derived on first request."""
    refuse_repeated(request)
    asked = query.spec()
    asset = await services.assets.get(caller.account_id, asset_id)
    promise = await services.files.variants.promise(asset, asked, until=services.links.until())
    document: documents.SignedRendition = {
        "url": f"{services.links.base_url}/files/{promise.path}",
        "w": asked.w,
        "h": asked.h,
        "fit": asked.fit.value,
        "format": asked.format.value,
        "quality": None if asked.format is Format.PNG else asked.quality,
        "width": promise.width,
        "height": promise.height,
    }
    return json_response(document)
