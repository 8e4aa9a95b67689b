"""Puts a job's pictures into the model's input, as data URIs or uploaded files."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass

from safelight.json_object import JsonObject, as_object
from safelight.providers.errors import ProviderBadInput, ProviderError
from safelight.providers.provider import InputFile, Role
from safelight.providers.remote.api import MIB, Api, Sending
from safelight.providers.remote.replicate.fields import Fields

_MAX_INLINE = 256_000  # bytes; Replicate wants larger files uploaded
_MAX_UPLOAD = 100 * MIB
_NEUTRAL = "https://example.com/"  # placeholder URL while the input is validated


@dataclass(frozen=True, slots=True)
class Placed:
    """An input and the field it goes into, possibly a list."""

    field: str
    file: InputFile
    in_list: bool = False


def place(inputs: Sequence[InputFile], fields: Fields) -> list[Placed]:
    """Assign each input to a field, or raise `ProviderBadInput`; stats the files."""
    for file in inputs:
        if file.path.stat().st_size > _MAX_UPLOAD:
            raise ProviderBadInput(f"An input must not have more than {_MAX_UPLOAD} bytes.")
    placed: list[Placed] = []
    pictures: list[InputFile] = []
    for file in inputs:
        if file.role is Role.MASK:
            placed.append(_mask(file, fields, placed))
        elif file.role in fields.views:
            placed.append(Placed(fields.views[file.role], file))
        else:
            pictures.append(file)
    return placed + _pictures(pictures, fields, {one.field for one in placed})


def stand_ins(placed: Sequence[Placed]) -> JsonObject:
    """Return the fields with placeholder URLs."""
    return _filled([(one, _NEUTRAL) for one in placed])


async def send(api: Api, placed: Sequence[Placed], upload_s: float) -> JsonObject:
    """Return the fields with the inputs; large ones are uploaded, which is free."""
    addresses = [
        (one, await _address(api, one.file, number, upload_s)) for number, one in enumerate(placed)
    ]
    return _filled(addresses)


def _mask(file: InputFile, fields: Fields, placed: Sequence[Placed]) -> Placed:
    if not fields.mask or any(one.field == fields.mask for one in placed):
        raise ProviderBadInput("This model takes no mask." if not fields.mask else "Two masks.")
    return Placed(fields.mask, file)


def _pictures(files: list[InputFile], fields: Fields, taken: set[str]) -> list[Placed]:
    # Includes views without a field of their own, in the given order.
    free = [name for name in (*fields.pictures, *fields.views.values()) if name not in taken]
    if len(files) <= len(free):
        return [Placed(name, file) for name, file in zip(free, files, strict=False)]
    if not fields.many:
        raise ProviderBadInput(f"This model takes at most {len(free) + len(taken)} pictures.")
    return [Placed(fields.many, file, in_list=True) for file in files]


def _filled(addresses: Sequence[tuple[Placed, str]]) -> JsonObject:
    found: JsonObject = {}
    for one, address in addresses:
        if one.in_list:
            found.setdefault(one.field, []).append(address)
        else:
            found[one.field] = address
    return found


async def _address(api: Api, file: InputFile, number: int, upload_s: float) -> str:
    if file.path.stat().st_size <= _MAX_INLINE:
        content = await asyncio.to_thread(file.path.read_bytes)
        return f"data:{file.media_type};base64,{base64.b64encode(content).decode()}"
    ending = file.media_type.rpartition("/")[2].partition("+")[0]
    handle = await asyncio.to_thread(file.path.open, "rb")
    with handle:
        # The user's file name stays private.
        content = ("content", (f"input-{number}.{ending}", handle, file.media_type))
        answer = await api.call("POST", "/files", Sending(files=[content]), answer_s=upload_s)
    urls = as_object(as_object(answer.document).get("urls"))
    address = urls.get("get")
    if not isinstance(address, str) or not address.startswith(("https://", "http://")):
        raise ProviderError("The provider accepted an upload without returning its URL.")
    return address
