"""Turns a job into the call that pays for it, refusing first whatever the server would refuse."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, Model, ProviderRequest, Role
from safelight.providers.remote.api import Sending
from safelight.providers.remote.openai.config import OpenAiConfig

_MAX_REFERENCE = 50_000_000  # bytes, of each
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}

# The rules of free sizes, which JSON Schema cannot say.
_FREELY_SIZED = re.compile(r"gpt-image-")
_STEP = 16
_LONGEST = 3840
_AREA = 3840 * 2160
_MOST_RATIO = 3

# Bytes of base64 for each pixel of a PNG that does not compress at all.
_OPAQUE = 4
_TRANSPARENT = 16 / 3
_THEIR_NAMES = {"format": "output_format"}  # ours is the same for all providers


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask for: `fields` go out as JSON, or as a form where there are pictures."""

    path: str
    fields: Mapping[str, Any]
    pictures: tuple[InputFile, ...]
    mask: InputFile | None
    partial_images: int

    @contextmanager
    def sending(self, headers: Mapping[str, str]) -> Iterator[Sending]:
        """Yield what the call carries; the files stay open, and are read while they are sent."""
        if not self.pictures:
            yield Sending(json=self.fields, headers=headers)
            return
        with ExitStack() as open_files:
            name = "image[]" if len(self.pictures) > 1 else "image"
            parts = [(name, picture) for picture in self.pictures]
            parts += [("mask", self.mask)] if self.mask else []
            files = [
                (field, (_file_name(field, place, file), handle, file.media_type))
                for place, (field, file) in enumerate(parts)
                for handle in [open_files.enter_context(file.path.open("rb"))]
            ]
            fields = {field: _as_text(value) for field, value in self.fields.items()}
            yield Sending(fields=fields, files=files, headers=headers)


def order_of(request: ProviderRequest, model: Model, config: OpenAiConfig) -> Order:
    """Return the call to make, or raise `ProviderBadInput`."""
    mask, pictures = _inputs(request.inputs)
    params = {_THEIR_NAMES.get(name, name): value for name, value in request.params.items()}
    _check_size(params, model.vendor_id)
    _check_room(params, config.max_answer_bytes)
    # With several pictures the protocol does not say what comes as a stream.
    streams = config.stream and params.get("n", 1) == 1
    partial_images = params.pop("partial_images", 0)
    if partial_images and not streams:
        raise ProviderBadInput("Rough pictures come only on the way to a single one, streamed.")
    fields = {"model": model.vendor_id, "prompt": request.prompt, **params}
    if not pictures:
        fields.pop("input_fidelity", None)
    if streams:
        fields |= {"stream": True, "partial_images": partial_images}
    return Order(
        path="/images/edits" if pictures else "/images/generations",
        fields=fields,
        pictures=pictures,
        mask=mask,
        partial_images=partial_images,
    )


def _inputs(inputs: tuple[InputFile, ...]) -> tuple[InputFile | None, tuple[InputFile, ...]]:
    masks = [file for file in inputs if file.role is Role.MASK]
    pictures = tuple(file for file in inputs if file.role is not Role.MASK)
    if len(masks) > 1 or (masks and not pictures):
        raise ProviderBadInput("One mask may come along with a picture, and no more.")
    for file in inputs:
        if file.media_type not in _ENDINGS:
            raise ProviderBadInput(f"A reference must be PNG, JPEG or WebP, not {file.media_type}.")
        if file.path.stat().st_size >= _MAX_REFERENCE:
            raise ProviderBadInput(f"A reference must be smaller than {_MAX_REFERENCE} bytes.")
    return (masks[0] if masks else None), pictures


def _check_size(params: Mapping[str, Any], vendor_id: str) -> None:
    sides = _sides(params)
    if sides is None or not _FREELY_SIZED.match(vendor_id):
        return
    short, long = sorted(sides)
    if (
        short % _STEP
        or long % _STEP
        or long > _MOST_RATIO * short
        or long > _LONGEST
        or short * long > _AREA
    ):
        raise ProviderBadInput(
            f"The sides of {params['size']} must be divisible by {_STEP}, within 1:3 and 3:1, and "
            "at most 3840x2160."
        )


def _check_room(params: Mapping[str, Any], max_bytes: int) -> None:
    """Refuse what might not fit in the answer that is held: it would be paid and lost."""
    sides = _sides(params)
    if sides is None or params.get("output_format", "png") != "png":
        return
    a_pixel = _TRANSPARENT if params.get("background") == "transparent" else _OPAQUE
    if params.get("n", 1) * sides[0] * sides[1] * a_pixel > max_bytes:
        raise ProviderBadInput(
            "So many PNGs of this size do not fit in one answer: ask for fewer, or for JPEG or "
            "WebP."
        )


def _sides(params: Mapping[str, Any]) -> tuple[int, int] | None:
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", params.get("size", ""), re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def _file_name(field: str, place: int, file: InputFile) -> str:
    """Return a name that tells the server the format; what people call the file is not told."""
    return f"{field.removesuffix('[]')}-{place}.{_ENDINGS[file.media_type]}"


def _as_text(value: object) -> str:
    """Return a param as forms spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
