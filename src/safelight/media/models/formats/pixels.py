"""Decodes and samples textures, and converts between linear light and sRGB."""

import numpy as np
import numpy.typing as npt
import pyvips

from safelight.media.errors import MediaUnsupported
from safelight.media.models.formats.scene import Bytes, Floats, Ints, Texture, TextureImage, Wrap
from safelight.media.pictures.vips import decoding, to_srgb

_LARGEST = 4096  # pixels per side: finer than any model's vertices
_MOST_PIXELS = 200_000_000
_RGBA = 4
_LOADERS = {"png": "pngload_buffer", "jpg": "jpegload_buffer", "webp": "webpload_buffer"}


def as_png(data: bytes) -> bytes:
    """Convert a WebP picture to PNG; raise `MediaUnsupported` for any other format."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise MediaUnsupported("A texture of the 3D model is of a kind that is not supported.")
    with decoding():
        return _open(data, "webp").pngsave_buffer(keep=0)


def decode(picture: TextureImage) -> Bytes:
    """Return a picture's RGBA (rows, columns, 4), scaled down if very large."""
    with decoding():
        image = _open(picture.data, picture.ending)
        image = image.thumbnail_image(_LARGEST, height=_LARGEST, size="down", no_rotate=True)
        image = to_srgb(image).colourspace("srgb")
        image = image if image.hasalpha() else image.bandjoin(255)
        image = image.extract_band(0, n=_RGBA).cast("uchar")
        data = np.frombuffer(image.write_to_memory(), np.uint8)
    return data.reshape(image.height, image.width, _RGBA)


def sample(pixels: Bytes, texture: Texture, uv: Floats) -> Floats:
    """Return linear RGBA (n, 4) at texture coordinates, interpolated."""
    rows, columns = pixels.shape[:2]
    left, right, x = _neighbors(uv[:, 0], columns, texture.across)
    top, bottom, y = _neighbors(1 - uv[:, 1], rows, texture.down)
    upper = _light(pixels[top, left]) * (1 - x) + _light(pixels[top, right]) * x
    lower = _light(pixels[bottom, left]) * (1 - x) + _light(pixels[bottom, right]) * x
    return (upper * (1 - y) + lower * y).astype(np.float32)


def to_linear(values: Floats) -> Floats:
    """Convert sRGB to linear light (IEC 61966-2-1); both 0 to 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(  # noqa: PLR2004
        np.float32
    )


def to_encoded(values: Floats) -> Floats:
    """Convert linear light to sRGB (IEC 61966-2-1); both 0 to 1."""
    clipped = np.clip(values, 0, 1)
    curve = 1.055 * np.power(clipped, 1 / 2.4) - 0.055
    return np.where(clipped <= 0.0031308, 12.92 * clipped, curve).astype(np.float32)  # noqa: PLR2004


def _open(data: bytes, ending: str) -> pyvips.Image:
    load = getattr(pyvips.Image, _LOADERS[ending])
    image: pyvips.Image = load(data, fail_on="error")
    if image.width * image.height > _MOST_PIXELS:
        raise MediaUnsupported("A texture of the 3D model has too many pixels.")
    return image


def _neighbors(places: Floats, size: int, wrap: Wrap) -> tuple[Ints, Ints, Floats]:
    """Return the pixels on either side along one axis, and the fraction toward the second.

    The fractions have the shape (n, 1), to broadcast over colors.
    """
    at = places.astype(np.float64) * size - 0.5
    first = np.floor(at)
    beyond = (at - first)[:, None].astype(np.float32)
    return _wrapped(first, size, wrap), _wrapped(first + 1, size, wrap), beyond


def _wrapped(index: npt.NDArray[np.float64], size: int, wrap: Wrap) -> Ints:
    match wrap:
        case Wrap.CLAMP:
            inside = np.clip(index, 0, size - 1)
        case Wrap.REPEAT:
            inside = index % size
        case Wrap.MIRROR:
            turned = index % (2 * size)
            inside = np.minimum(turned, 2 * size - 1 - turned)
    return inside.astype(np.int64)


def _light(pixels: Bytes) -> Floats:
    fractions = pixels.astype(np.float32) / np.float32(255)
    fractions[:, :3] = to_linear(fractions[:, :3])
    return fractions
