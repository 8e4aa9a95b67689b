"""Builds the paid request for a job and rejects beforehand what the server would reject."""

import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, Model, ProviderRequest, Role
from safelight.providers.remote import results
from safelight.providers.remote.api import Sending
from safelight.providers.remote.openai.config import OpenAiConfig

_MAX_REFERENCE = 50_000_000  # bytes per picture
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}

# Rules for free sizes that JSON Schema cannot express.
_FREELY_SIZED = re.compile(r"gpt-image-")
_STEP = 16
_LONGEST = 3840
_AREA = 3840 * 2160
_MOST_RATIO = 3

# Base64 bytes per pixel of an incompressible PNG.
_OPAQUE = 4
_TRANSPARENT = 16 / 3
_THEIR_NAMES = {"format": "output_format"}  # our name is the same for all providers


@dataclass(frozen=True, slots=True)
class Order:
    """A request: `fields` are sent as JSON, or as a form if there are pictures."""

    path: str
    fields: Mapping[str, Any]
    pictures: tuple[InputFile, ...]
    mask: InputFile | None
    partial_images: int

    @contextmanager
    def sending(self, headers: Mapping[str, str]) -> Generator[Sending]:
        """Yield the payload; its files stay open and are read while they are sent."""
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
    """Return the request, or raise `ProviderBadInput`."""
    mask, pictures = _inputs(request.inputs)
    params = {_THEIR_NAMES.get(name, name): value for name, value in request.params.items()}
    results.check_format(params)
    _check_size(params, model.vendor_id)
    _check_room(params, config.max_answer_bytes)
    # The protocol does not define a stream of several pictures.
    streams = config.stream and params.get("n", 1) == 1
    partial_images = params.pop("partial_images", 0)
    if partial_images and not streams:
        raise ProviderBadInput("Partial pictures need streaming and a single picture (n=1).")
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
        raise ProviderBadInput("A mask needs a picture, and there can be only one.")
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
    """Reject what might exceed the maximum response size: it would be paid for and lost."""
    sides = _sides(params)
    if sides is None or params.get("output_format", "png") != "png":
        return
    a_pixel = _TRANSPARENT if params.get("background") == "transparent" else _OPAQUE
    if params.get("n", 1) * sides[0] * sides[1] * a_pixel > max_bytes:
        raise ProviderBadInput(
            "This many PNGs of this size do not fit in one response: request fewer, or JPEG or "
            "WebP."
        )


def _sides(params: Mapping[str, Any]) -> tuple[int, int] | None:
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", params.get("size", ""), re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def _file_name(field: str, place: int, file: InputFile) -> str:
    """Return a name with the format's extension; the user's file name stays private."""
    return f"{field.removesuffix('[]')}-{place}.{_ENDINGS[file.media_type]}"


def _as_text(value: object) -> str:
    """Return a param as a form value."""
    return str(value).lower() if isinstance(value, bool) else str(value)
