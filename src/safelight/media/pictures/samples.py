"""Scales the unusual sample types of TIFF to unsigned integers; child only.

libvips clips them to 0 to 255, which shows white, black or noise.
"""

from collections.abc import Callable

import pyvips

from safelight.media.errors import MediaUnsupported

# What to add, what to divide by, and the result.
_SCALES = {
    "char": (2**7, 1, "uchar"),
    "short": (2**15, 1, "ushort"),
    "uint": (0, 2**16 + 1, "ushort"),
    "int": (2**31, 2**16 + 1, "ushort"),
}
_DEEP = {"b-w": "grey16", "srgb": "rgb16"}
_FLOATS = frozenset({"scrgb", "lab", "xyz"})  # libvips converts these itself
_GRAY = frozenset({"b-w", "grey16"})
_OVERSHOOT = 0.1  # of filters, beyond black and white
_MAX = 65_535


def to_unsigned(image: pyvips.Image, again: Callable[[], pyvips.Image]) -> pyvips.Image:
    """Return the picture in 8 or 16 bits, or in a type that libvips converts.

    `again` opens it once more, to find out the range of its values. Raises `MediaUnsupported` if
    its colors have no known meaning.
    """
    kind, colors = str(image.format), str(image.interpretation)
    if colors == "multiband":
        raise MediaUnsupported("The colors of this TIFF are not supported.")
    if kind in _SCALES and colors != "labs":
        more, parts, result = _SCALES[kind]
        scaled = ((image + more) / parts).cast(result)
        return scaled.copy(
            interpretation=_DEEP.get(colors, colors) if result == "ushort" else colors
        )
    if kind == "float" and colors not in _FLOATS:
        _check_range(again(), colors)
        return (image * _MAX).cast("ushort").copy(interpretation="grey16")
    return image


def _check_range(image: pyvips.Image, colors: str) -> None:
    low, high = (
        image.stats().crop(0, 0, 2, 1).numpy()[0] if colors in _GRAY else (0.0, float("inf"))
    )
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        raise MediaUnsupported("A TIFF of floating-point samples needs gray values from 0 to 1.")
