"""What an asset's row says of the smaller pictures of it, and the keys they are stored under."""

from collections.abc import Mapping
from pathlib import Path

from safelight.assets.asset import AssetKind, Rendition
from safelight.assets.keys import Visibility, shown_key
from safelight.media.facts import Facts
from safelight.media.pictures.picture import RENDITION_SIDES, Picture


def renditions_of(
    owner: str, pictures: Mapping[str, Picture], visibility: Visibility
) -> tuple[dict[str, Rendition], dict[str, Path]]:
    """Return what a row says of smaller pictures, and the file of each key."""
    renditions: dict[str, Rendition] = {}
    files: dict[str, Path] = {}
    for name, picture in pictures.items():
        key = shown_key(AssetKind.IMAGE.folder, owner, picture.media_type, visibility)
        renditions[name] = _rendition(picture, key)
        files[key] = picture.path
    return renditions, files


def itself(served: Picture, key: str) -> dict[str, Rendition]:
    """Return the renditions of a picture that is small enough to be its own."""
    return dict.fromkeys(RENDITION_SIDES, _rendition(served, key))


def _rendition(picture: Picture, key: str) -> Rendition:
    return Rendition(
        key=key,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        bytes=picture.bytes,
    )


def as_it_is(path: Path, found: Facts) -> Picture:
    """Return a picture that is small and fit enough to be shown."""
    return Picture(path, found.media_type, found.width, found.height, found.bytes)
