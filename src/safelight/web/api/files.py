"""Public files by their key, and pictures made of them by parameters that their owner signed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from safelight.assets.asset import EXTENSIONS, media_type_of
from safelight.assets.variant import Format
from safelight.errors import NotFound, SignatureInvalid
from safelight.web.api.pictures import PictureQuery, refuse_repeated
from safelight.web.auth import Parts
from safelight.web.objects import Shown, serve
from safelight.web.services import Services

router = APIRouter(tags=["files"])


class FileQuery(PictureQuery):
    """What may stand behind the address of a file: nothing else, as caches keep each apart."""

    download: bool = Field(False, description="Save it instead of showing it.")
    sig: str | None = Field(
        None, description="The signature that every parameter but `download` needs."
    )


@router.get("/files/{key:path}", response_class=StreamingResponse)
@router.head("/files/{key:path}", include_in_schema=False)
async def get_file(
    request: Request, key: str, services: Parts, query: Annotated[FileQuery, Query()]
) -> Response:
    """Return a public object, or a picture made of it. Its key cannot be guessed.

    With any of `w`, `h`, `fit`, `format` and `quality` the picture is made when it is first asked
    for; the address is then signed with the account's signing key. Originals are not served here.
    """
    refuse_repeated(request)
    is_plain = set(request.query_params) <= {"download"}
    shown = _file(key, query) if is_plain else await _picture(request, key, services, query)
    return await serve(request, services.storage, shown)


def _file(key: str, query: FileQuery) -> Shown:
    media_type = media_type_of(key)
    if media_type is None or ".." in key:
        raise NotFound("There is no such file.")
    return Shown(key, media_type, key.rpartition("/")[2], query.download)


async def _picture(request: Request, key: str, services: Services, query: FileQuery) -> Shown:
    asked = query.spec()
    if query.sig is None:
        raise SignatureInvalid("Parameters need a signature, `sig`.")
    accept = ",".join(request.headers.getlist("accept"))
    made = await services.variants.open(key, asked, query.sig, accept)
    stem = key.rpartition("/")[2].partition(".")[0]
    return Shown(
        made.key,
        made.media_type,
        f"{stem}.{EXTENSIONS[made.media_type]}",
        query.download,
        varies=asked.format is Format.AUTO,
    )
