"""Renditions: their entries in an asset's row, and their keys."""

from collections.abc import Mapping
from pathlib import Path

from safelight.assets.asset import AssetKind, Rendition
from safelight.assets.keys import Visibility, shown_key
from safelight.media.facts import Facts
from safelight.media.pictures.picture import RENDITION_SIDES, Picture
from safelight.media.source import Source


def renditions_of(
    owner: str, pictures: Mapping[str, Picture], visibility: Visibility
) -> tuple[dict[str, Rendition], dict[str, Source]]:
    """Return the row's entries for renditions, and the file for each key.

    Renditions that are one picture share a key.
    """
    keys = {
        picture: shown_key(AssetKind.IMAGE.folder, owner, picture.media_type, visibility)
        for picture in set(pictures.values())
    }
    renditions = {name: _rendition(each, keys[each]) for name, each in pictures.items()}
    return renditions, {key: picture.source for picture, key in keys.items()}


def itself(served: Picture, key: str) -> dict[str, Rendition]:
    """Return the renditions of a picture small enough to be its own."""
    return dict.fromkeys(RENDITION_SIDES, _rendition(served, key))


def with_checksums(
    renditions: Mapping[str, Rendition], checksums: Mapping[str, str]
) -> dict[str, Rendition]:
    """Return the entries with the SHA-256 of their objects."""
    return {name: {**each, "sha256": checksums[each["key"]]} for name, each in renditions.items()}


def _rendition(picture: Picture, key: str) -> Rendition:
    return Rendition(
        key=key,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        bytes=picture.bytes,
    )


def as_it_is(path: Path, found: Facts) -> Picture:
    """Return the original file as the picture to serve."""
    return Picture(path, found.media_type, found.width, found.height, found.bytes)
