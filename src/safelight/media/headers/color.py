"""Color spaces that headers describe by numbers instead of an ICC profile (ITU-T H.273)."""

from typing import NamedTuple

from safelight.media.errors import MediaUnsupported


class Curve(NamedTuple):
    """Decodes a sample: (`a` x + `b`) ^ `gamma`, below `start` `slope` x; see ICC.1:2022, 10.18."""

    gamma: float
    a: float = 1.0
    b: float = 0.0
    slope: float = 0.0
    start: float = 0.0


class Color(NamedTuple):
    """A color space: x and y of white, red, green and blue, and the curve of all channels."""

    primaries: tuple[float, ...]
    curve: Curve


_D65 = (0.3127, 0.329)
SRGB_PRIMARIES = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_TV_CURVE = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)

_PRIMARIES = {
    1: SRGB_PRIMARIES,
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_CURVES = {
    1: _TV_CURVE,
    4: Curve(2.2),
    5: Curve(2.8),
    6: _TV_CURVE,
    8: Curve(1.0),
    13: SRGB_CURVE,
    14: _TV_CURVE,
    15: _TV_CURVE,
}
UNSPECIFIED = 2
"""The code point of primaries and transfer that a file leaves open."""
_HDR = frozenset({16, 18})  # PQ and HLG


def of_codes(primaries: int, transfer: int) -> Color | None:
    """Return the color space of two code points; None for sRGB.

    Raises `MediaUnsupported` for HDR and for unknown code points.
    """
    if transfer in _HDR:
        raise MediaUnsupported("The picture is in HDR (PQ or HLG), which is not supported.")
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise MediaUnsupported(
            f"The color space is not supported: primaries {primaries}, transfer {transfer}."
        )
    return plain(_PRIMARIES[primaries], _CURVES[transfer])


def plain(primaries: tuple[float, ...], curve: Curve) -> Color | None:
    """Return the color space; None for sRGB, which needs no conversion."""
    color = Color(primaries, curve)
    return None if color == (SRGB_PRIMARIES, SRGB_CURVE) else color
