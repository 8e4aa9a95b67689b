"""Receives multipart forms: files stream to disk within limits and are removed afterwards."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import orjson
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException  # noqa: TID251  caught, never raised

from safelight.errors import InvalidRequest, RequestError
from safelight.json_object import JsonObject
from safelight.media.errors import MediaEmpty
from safelight.web.errors import TooLarge, TooManyFiles

_CHUNK = 1 << 20
_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 64 * 1024
_MAX_NAME = 255
_JSON_FIELDS = frozenset({"params", "tags", "metadata", "notify"})


@dataclass(frozen=True, slots=True)
class Upload:
    """One received file, on local disk while the form is open."""

    name: str
    path: Path
    bytes: int
    sha256: str


@asynccontextmanager
async def received(
    request: Request, *, folder: Path, field: str, max_files: int, max_file_bytes: int
) -> AsyncGenerator[tuple[list[Upload], dict[str, str]]]:
    """Yield the files of `field` and the text fields.

    Raises `TooManyFiles`, `TooLarge`, `MediaEmpty`, or `InvalidRequest` for fields that do not
    belong; received files are removed in every case.
    """
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="upload-", dir=folder))
    try:
        async with _form(request, max_files) as form:
            uploads: list[Upload] = []
            fields: dict[str, str] = {}
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                elif name not in (field, f"{field}[]"):
                    raise InvalidRequest(errors=[{"field": name, "message": "unknown field"}])
                else:
                    target = place / str(len(uploads))
                    uploads.append(await _save(value, target, max_file_bytes))
            if len(uploads) > max_files:
                raise TooManyFiles(f"At most {max_files} files; {len(uploads)} came.")
            if not uploads:
                raise InvalidRequest(errors=[{"field": field, "message": "no file was sent"}])
            yield uploads, fields
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, True))


def read_fields(fields: dict[str, str]) -> JsonObject:
    """Return a form's text fields as a body; lists and objects are parsed as JSON."""
    body: JsonObject = {}
    for name, text in fields.items():
        try:
            body[name] = orjson.loads(text) if name in _JSON_FIELDS else text
        except orjson.JSONDecodeError:
            raise InvalidRequest(errors=[{"field": name, "message": "is not valid JSON"}]) from None
    return body


@asynccontextmanager
async def _form(request: Request, max_files: int) -> AsyncGenerator[FormData]:
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "multipart/form-data":
        raise RequestError("Send the files with the header `Content-Type: multipart/form-data`.")
    try:
        async with request.form(
            max_files=max_files + 1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        ) as form:
            yield form
    except HTTPException as error:
        if "Too many files" in str(error.detail):
            raise TooManyFiles(f"At most {max_files} files.") from None
        raise RequestError(f"The form could not be read: {error.detail}") from None


async def _save(file: UploadFile, target: Path, max_bytes: int) -> Upload:
    name = _clean_name(file.filename or "")
    if file.size == 0:
        raise MediaEmpty(f"The file {name!r} is empty.")
    if file.size is not None and file.size > max_bytes:
        raise TooLarge(f"The file {name!r} has {file.size} bytes; at most {max_bytes} are taken.")
    digest = hashlib.sha256()
    size = 0
    with await asyncio.to_thread(target.open, "wb") as out:
        while chunk := await file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            await asyncio.to_thread(out.write, chunk)
    return Upload(name, target, size, digest.hexdigest())


def _clean_name(name: str) -> str:
    """Return a bare file name: browsers may send paths, NULs or invalid UTF-8."""
    bare = PurePosixPath(name.replace("\\", "/")).name
    text = bare.encode("utf-8", "replace").decode().replace("\x00", "")
    return text[:_MAX_NAME] or "unnamed"
