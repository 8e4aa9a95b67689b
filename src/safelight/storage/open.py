"""Opens the configured storage."""

from collections.abc import Callable

from safelight.storage.disk import DiskStorage
from safelight.storage.parted import PartedStorage
from safelight.storage.place import Place
from safelight.storage.storage import Describe, Storage


def open_storage(
    place: Place, public: Place | None, *, describe: Describe, is_public: Callable[[str], bool]
) -> Storage:
    """Return storage in one place, or with public objects in a separate place."""
    kept = _open(place, describe)
    if public is None or public == place:
        return kept
    return PartedStorage(kept, _open(public, describe), is_public)


def _open(place: Place, describe: Describe) -> Storage:
    if place.scheme == "file":
        return DiskStorage(place.path)
    from safelight.storage.bucket import BucketStorage  # noqa: PLC0415  4 MB that a disk spares

    return BucketStorage(place, describe)
