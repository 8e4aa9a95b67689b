"""Which picture is asked for on the fly: its one spelling, its format, its size. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from safelight.errors import InvalidRequest

MAX_SIDE = 4096
"""Pixels of the longest side that is made; a side that is not asked for has this limit too."""

MAX_QUALITY = 100
DEFAULT_QUALITY = 75

_MAX_RANGES = 100  # of an Accept header that are looked at


class Fit(StrEnum):
    """How a picture of one shape goes into a box of another."""

    CONTAIN = "contain"  # all of it, inside the box
    COVER = "cover"  # fills the box, what hangs over is cut off
    FILL = "fill"  # stretched to the box


class Format(StrEnum):
    """What the picture is encoded as; AUTO is settled for each request."""

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
    """What is asked for: a box in pixels, how to fit in, and how to encode."""

    w: int | None = None
    h: int | None = None
    fit: Fit = Fit.CONTAIN
    format: Format = Format.AUTO
    quality: int = DEFAULT_QUALITY

    def __post_init__(self) -> None:
        """Raise `InvalidRequest` for parameters that do not go together."""
        if self.fit is not Fit.CONTAIN and (self.w is None or self.h is None):
            raise _refusal("fit", f"`{self.fit.value}` needs both `w` and `h`.")
        if self.format is Format.PNG and self.quality != DEFAULT_QUALITY:
            raise _refusal("quality", "PNG loses nothing, so it has no quality to choose.")

    @property
    def canonical(self) -> str:
        """The one spelling: by name, without what is a default. It is signed, and names the cache.

        A default can therefore never change: addresses signed before would mean something else.
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
        """Return the same picture in a format that is settled."""
        quality = DEFAULT_QUALITY if form is Format.PNG else self.quality
        return replace(self, format=form, quality=quality)


def settled(spec: Spec, accept: str) -> list[Spec]:
    """Return what to answer with: one spec, or for `auto` two, opaque and transparent pictures'.

    `accept` is the request's header. Only who names AVIF or WebP gets it: `image/*` and `*/*` are
    sent by programs that know neither.
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
    for form in (Format.AVIF, Format.WEBP):  # of two liked equally, the smaller
        if liked.get(form.media_type, 0.0) > most:
            best, most = form, liked[form.media_type]
    return best


def _qualities(accept: str) -> dict[str, float]:
    """Return how much each media range is liked (RFC 9110, 12.4.2); a malformed one not at all."""
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
class Order:
    """What a child is told to make: exactly this many pixels, cut out or scaled, so encoded."""

    width: int
    height: int
    is_cut: bool
    format: Format
    quality: int


def order(spec: Spec, width: int, height: int) -> Order:
    """Return what to make of a picture of that size; `spec` has its format settled.

    Nothing is enlarged but by `fill`. A box that the picture cannot cover is made smaller until it
    can: the shape is what whoever cuts cares for.
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
    return Order(*size, spec.fit is Fit.COVER, spec.format, spec.quality)


def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))


def _refusal(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(errors=[{"field": field, "message": message}])
