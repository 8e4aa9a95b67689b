"""Files by their key, and pictures made of them by parameters that their owner signed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from safelight.assets.errors import NoPublicPicture, SignatureInvalid
from safelight.assets.keys import EXTENSIONS, cache_control_of, is_public, media_type_of
from safelight.errors import NotFound
from safelight.media.pictures.spec import Format
from safelight.web.api.formats import CONVERSION_PROBLEMS
from safelight.web.api.pictures import PictureQuery, refuse_repeated
from safelight.web.auth import Parts
from safelight.web.contract import sends
from safelight.web.errors import RangeNotSatisfiable, TooManyRequests
from safelight.web.objects import Shown, serve
from safelight.web.services import Services

router = APIRouter(tags=["files"])

_SIGNED = {"until", "sig"}
_LAST_SECOND = 10**11  # far beyond any address that is made


class FileQuery(PictureQuery):
    """What may stand behind the address of a file: nothing else, as caches keep each apart."""

    download: bool = Field(False, description="Save it instead of showing it.")
    until: int | None = Field(
        None, ge=0, le=_LAST_SECOND, description="When the address of a private file ends."
    )
    sig: str | None = Field(
        None, description="The signature that every parameter but `download` needs."
    )


@router.get(
    "/files/{key:path}",
    **sends(
        EXTENSIONS,
        SignatureInvalid,
        NoPublicPicture,
        RangeNotSatisfiable,
        TooManyRequests,
        *CONVERSION_PROBLEMS,
        parameters=["If-None-Match", "Range"],
        headers=["ETag", "Accept-Ranges", "Content-Disposition"],
        statuses=[206, 304, 307],
    ),
)
@router.head("/files/{key:path}", include_in_schema=False)
async def get_file(
    request: Request, key: str, services: Parts, query: Annotated[FileQuery, Query()]
) -> Response:
    """Return what is shown of an asset, or a picture made of it. Keys cannot be guessed.

    With any of `w`, `h`, `fit`, `format` and `quality` the picture is made when it is first asked
    for; the address is then signed with the account's signing key. Addresses of private files are
    signed by this server, and end. Originals are not served here.
    """
    refuse_repeated(request)
    media_type = media_type_of(key)
    if media_type is None or ".." in key:
        raise NotFound("There is no such file.")
    services.file_rates.take(key)
    asked = set(request.query_params) - {"download"}
    if asked - _SIGNED or (is_public(key) and asked):
        shown = await _picture(request, key, services, query)
        return await serve(request, services.storage, shown)
    if not is_public(key):
        _check(services, key, query)
        if request.method == "GET" and not query.download:
            address = await services.direct(key)
            if address:
                return RedirectResponse(address, 307, {"Cache-Control": "no-store"})
    name = key.rpartition("/")[2]
    kept = cache_control_of(key)
    shown = Shown(key, media_type, name, query.download, cache_control=kept)
    return await serve(request, services.storage, shown)


def _check(services: Services, key: str, query: FileQuery) -> None:
    if query.until is None or query.sig is None:
        raise SignatureInvalid("This file is private: its address is signed, and ends.")
    if not services.links.is_signed(key, query.until, query.sig):
        raise SignatureInvalid("This address has ended, or was not made here.")


async def _picture(request: Request, key: str, services: Services, query: FileQuery) -> Shown:
    asked = query.spec()
    if query.sig is None:
        raise SignatureInvalid("Parameters need a signature, `sig`.")
    accept = ",".join(request.headers.getlist("accept"))
    made = await services.variants.open(key, asked, query.sig, accept, until=query.until)
    stem = key.rpartition("/")[2].partition(".")[0]
    return Shown(
        made.key,
        made.media_type,
        f"{stem}.{EXTENSIONS[made.media_type]}",
        query.download,
        varies=asked.format is Format.AUTO,
        cache_control=cache_control_of(key),
    )
