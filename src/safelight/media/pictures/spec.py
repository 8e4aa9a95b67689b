"""On-the-fly variants: the canonical query, format negotiation and size. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from safelight.errors import InvalidRequest

MAX_SIDE = 4096
"""Longest side of a variant in pixels; also the limit for a side that is not specified."""

MAX_QUALITY = 100
DEFAULT_QUALITY = 75

_MAX_RANGES = 100  # read from an Accept header


class Fit(StrEnum):
    """How a picture is fitted into a box of another aspect ratio."""

    CONTAIN = "contain"  # all of it, inside the box
    COVER = "cover"  # fills the box, cropping the rest
    FILL = "fill"  # stretched to the box


class Format(StrEnum):
    """The encoding; AUTO is negotiated per request."""

    AUTO = "auto"
    WEBP = "webp"
    AVIF = "avif"
    JPEG = "jpeg"
    PNG = "png"

    @property
    def media_type(self) -> str:
        """The media type of a format; AUTO has none."""
        return f"image/{self.value}"


@dataclass(frozen=True, slots=True)
class Spec:
    """A requested variant: a box in pixels, how to fit it, and how to encode."""

    w: int | None = None
    h: int | None = None
    fit: Fit = Fit.CONTAIN
    format: Format = Format.AUTO
    quality: int = DEFAULT_QUALITY

    def __post_init__(self) -> None:
        """Raise `InvalidRequest` for conflicting parameters."""
        if self.fit is not Fit.CONTAIN and (self.w is None or self.h is None):
            raise _refusal("fit", f"`{self.fit.value}` needs both `w` and `h`.")
        if self.format is Format.PNG and self.quality != DEFAULT_QUALITY:
            raise _refusal("quality", "PNG loses nothing, so it has no quality to choose.")

    @property
    def canonical(self) -> str:
        """The canonical query: sorted by name, defaults omitted. It is signed and keys the cache.

        A default can therefore never change: URLs signed earlier would mean something else.
        """
        given: dict[str, str | int | None] = {
            "fit": None if self.fit is Fit.CONTAIN else self.fit.value,
            "format": None if self.format is Format.AUTO else self.format.value,
            "h": self.h,
            "quality": None if self.quality == DEFAULT_QUALITY else self.quality,
            "w": self.w,
        }
        return "&".join(f"{name}={value}" for name, value in given.items() if value is not None)

    def encoded_as(self, form: Format) -> "Spec":
        """Return the same variant in a concrete format."""
        quality = DEFAULT_QUALITY if form is Format.PNG else self.quality
        return replace(self, format=form, quality=quality)


def negotiate(spec: Spec, accept: str) -> list[Spec]:
    """Return the negotiated specs: one, or two for `auto`: for opaque and transparent pictures.

    `accept` is the request's header. AVIF and WebP must be named in it: clients that support
    neither send `image/*` and `*/*` too.
    """
    if spec.format is not Format.AUTO:
        return [spec]
    found = _best_modern(accept)
    if found is not None:
        return [spec.encoded_as(found)]
    return [spec.encoded_as(Format.JPEG), spec.encoded_as(Format.PNG)]


def _best_modern(accept: str) -> Format | None:
    liked = _qualities(accept)
    best, most = None, 0.0
    for form in (Format.AVIF, Format.WEBP):  # on a tie, the smaller encoding
        if liked.get(form.media_type, 0.0) > most:
            best, most = form, liked[form.media_type]
    return best


def _qualities(accept: str) -> dict[str, float]:
    """Return the weight of each media range (RFC 9110, 12.4.2); 0 for a malformed one."""
    found: dict[str, float] = {}
    for entry in accept.split(",", _MAX_RANGES)[:_MAX_RANGES]:
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights = [part[2:] for part in parameters if part.startswith("q=")]
        found[name] = _weight(weights[0]) if weights else 1.0
    return found


def _weight(text: str) -> float:
    whole, _, fraction = text.partition(".")
    digits = fraction == "" or (fraction.isdecimal() and fraction.isascii() and len(fraction) <= 3)  # noqa: PLR2004
    if whole not in ("0", "1") or not digits:
        return 0.0
    return min(float(text), 1.0)


@dataclass(frozen=True, slots=True)
class VariantOrder:
    """Instructions for a child: the exact size, cropped or scaled, and the encoding."""

    width: int
    height: int
    is_cut: bool
    format: Format
    quality: int


def order(spec: Spec, width: int, height: int) -> VariantOrder:
    """Return the instructions for a picture of that size; `spec` has a concrete format.

    Only `fill` enlarges. A box that the picture cannot cover is scaled down until it can: when
    cropping, the aspect ratio matters more than the size.
    """
    box_width, box_height = spec.w or MAX_SIDE, spec.h or MAX_SIDE
    wide, high = box_width / width, box_height / height
    match spec.fit:
        case Fit.FILL:
            size = box_width, box_height
        case Fit.COVER:
            size = _scaled(box_width, box_height, min(1.0, 1 / max(wide, high)))
        case Fit.CONTAIN:
            size = _scaled(width, height, min(1.0, wide, high))
    return VariantOrder(*size, spec.fit is Fit.COVER, spec.format, spec.quality)


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))


def _refusal(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(errors=[{"field": field, "message": message}])
