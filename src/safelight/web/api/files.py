"""Routes for files by key, and for on-the-fly pictures by signed parameters."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import Field

from safelight.accounts.errors import AccountSuspended
from safelight.assets.errors import NoPublicPicture, SignatureInvalid
from safelight.assets.keys import EXTENSIONS, cache_control_of, is_public, media_type_of
from safelight.errors import NotFound
from safelight.media.pictures.spec import Format
from safelight.web.api.formats import CONVERSION_PROBLEMS
from safelight.web.api.pictures import PictureQuery, refuse_repeated
from safelight.web.auth import Parts
from safelight.web.contract import sends
from safelight.web.errors import RangeNotSatisfiable, TooManyRequests
from safelight.web.files.objects import Shown, serve
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, tags=["files"])

_SIGNED = {"account", "until", "sig"}
_LAST_SECOND = 10**11  # far longer than any URL that is issued


class FileQuery(PictureQuery):
    """Query parameters of a file's URL; others are refused, because caches key on them."""

    download: bool = Field(False, description="Serve as an attachment.")
    account: str | None = Field(
        None, max_length=64, description="The owner of a private file, part of what is signed."
    )
    until: int | None = Field(
        None, ge=0, le=_LAST_SECOND, description="When the URL of a private file expires."
    )
    sig: str | None = Field(
        None, description="Signature; required for every parameter except `download`."
    )


@router.get(
    "/files/{key:path}",
    **sends(
        EXTENSIONS,
        SignatureInvalid,
        AccountSuspended,
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
    """Return a stored file, or a picture derived from it. Keys cannot be guessed.

    With any of `w`, `h`, `fit`, `format` and `quality` the picture is derived on first request; the
    URL is then signed with the account's signing key. URLs of private files are signed by this
    server and expire. Signed URLs of a suspended account are refused. Originals are never served.
    """
    refuse_repeated(request)
    media_type = media_type_of(key)
    if media_type is None or ".." in key:
        raise NotFound("There is no such file.")
    services.files.rates.take(key, services.files.most_per_s)
    asked = set(request.query_params) - {"download"}
    if asked - _SIGNED or (is_public(key) and asked):
        shown = await _picture(request, key, services, query)
        return await serve(request, services.files.storage, shown)
    if not is_public(key):
        await _check(services, key, query)
        if request.method == "GET" and not query.download:
            address = await services.files.direct(key)
            if address:
                return RedirectResponse(address, 307, {"Cache-Control": "no-store"})
    name = key.rpartition("/")[2]
    kept = cache_control_of(key)
    shown = Shown(key, media_type, name, query.download, cache_control=kept)
    response = await serve(request, services.files.storage, shown)
    if is_public(key) and not request.url.query and _is_whole(request, response):
        services.files.hot.keep(key, bytes(response.body), response.raw_headers)
    return response


def _is_whole(request: Request, response: Response) -> bool:
    sent_at_once = not isinstance(response, StreamingResponse)
    return request.method == "GET" and response.status_code == HTTPStatus.OK and sent_at_once


async def _check(services: Services, key: str, query: FileQuery) -> None:
    if query.account is None or query.until is None or query.sig is None:
        raise SignatureInvalid("This file is private: request a signed URL for it.")
    if not services.links.is_signed(key, query.account, query.until, query.sig):
        raise SignatureInvalid("This URL has expired, or its signature is invalid.")
    await services.access.closed.check_open(query.account)


async def _picture(request: Request, key: str, services: Services, query: FileQuery) -> Shown:
    asked = query.spec()
    if query.sig is None:
        raise SignatureInvalid("Parameters need a signature, `sig`.")
    accept = ",".join(request.headers.getlist("accept"))
    made = await services.files.variants.open(key, asked, query.sig, accept, until=query.until)
    stem = key.rpartition("/")[2].partition(".")[0]
    return Shown(
        made.key,
        made.media_type,
        f"{stem}.{EXTENSIONS[made.media_type]}",
        query.download,
        varies=asked.format is Format.AUTO,
        cache_control=cache_control_of(key),
    )
