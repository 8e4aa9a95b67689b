"""What the key of an object says: whose it is, what it holds, and who may see it. Pure."""

from safelight import ids
from safelight.accounts.account import Visibility

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/tiff": "tif",
    "image/heic": "heic",
    "model/gltf-binary": "glb",
    "application/vnd.autodesk.fbx": "fbx",
    "application/zip": "zip",
    "model/ply": "ply",
    "model/stl": "stl",
    "model/vnd.usdz+zip": "usdz",
}
MEDIA_TYPES = {extension: media_type for media_type, extension in EXTENSIONS.items()}

ORIGINALS = "originals/"
_PRIVATE = "private/"
_TRASH = "deleted/"
_SHOWN = ("images/", "models/")

FOREVER = "public, max-age=31536000, immutable"
FOR_ONE = "private, max-age=3600"


def original_key(account_id: str, sha256: str) -> str:
    """Return a new key for an account's bytes, kept in private once however often they come."""
    return f"{ORIGINALS}{account_id}/{sha256}-{ids.secret(40)}"


def is_original(key: str) -> bool:
    """Say whether `key` is a private original, which several assets may share."""
    return key.startswith(ORIGINALS)


def shown_key(folder: str, owner: str, media_type: str, visibility: Visibility) -> str:
    """Return a new unguessable key of what an asset shows, in `images` or `models`.

    `owner` is the job, or the asset if there is none.
    """
    start = _PRIVATE if visibility is Visibility.PRIVATE else ""
    return f"{start}{folder}/{owner}/{ids.secret(130)}.{EXTENSIONS[media_type]}"


def moved_key(key: str, visibility: Visibility) -> str:
    """Return a new key for the same object, where others may see it or no longer can."""
    folder, owner, name = key.removeprefix(_PRIVATE).split("/")
    return shown_key(folder, owner, MEDIA_TYPES[name.rpartition(".")[2]], visibility)


def trash_key(key: str) -> str:
    """Return a new key for an object of an asset that is deleted: nobody is served it."""
    return _TRASH + moved_key(key, visibility_of(key))


def restored_key(key: str) -> str:
    """Return a new key for such an object whose asset is brought back, for who saw it before."""
    seen = key.removeprefix(_TRASH)
    return moved_key(seen, visibility_of(seen))


def visibility_of(key: str) -> Visibility:
    """Say who may see the object under `key`."""
    return Visibility.PUBLIC if is_public(key) else Visibility.PRIVATE


def is_public(key: str) -> bool:
    """Say whether anybody may have the object under `key`."""
    return key.startswith(_SHOWN)


def media_type_of(key: str) -> str | None:
    """Return the media type by the ending of a key; None for what no asset shows."""
    if not key.removeprefix(_PRIVATE).startswith(_SHOWN):
        return None
    return MEDIA_TYPES.get(ending_of(key))


def cache_control_of(key: str) -> str:
    """Return how long whoever got the object under `key` may keep it."""
    return FOREVER if is_public(key) else FOR_ONE


def ending_of(key: str) -> str:
    """Return what stands behind the dot of a name, or nothing."""
    return key.rpartition("/")[2].rpartition(".")[2]
