"""Object keys, which encode owner, content type and visibility."""

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
    """Return a new key for a private original, which is stored once per account and content."""
    return f"{ORIGINALS}{account_id}/{sha256}-{ids.secret(40)}"


def is_original(key: str) -> bool:
    """Return whether `key` is a private original, which several assets may share."""
    return key.startswith(ORIGINALS)


def shown_key(folder: str, owner: str, media_type: str, visibility: Visibility) -> str:
    """Return a new unguessable key for a served object, in `images` or `models`.

    `owner` is the job, or the asset if there is none.
    """
    start = _PRIVATE if visibility is Visibility.PRIVATE else ""
    return f"{start}{folder}/{owner}/{ids.secret(130)}.{EXTENSIONS[media_type]}"


def moved_key(key: str, visibility: Visibility) -> str:
    """Return a new key for the same object with another visibility."""
    folder, owner, name = key.removeprefix(_PRIVATE).split("/")
    return shown_key(folder, owner, MEDIA_TYPES[name.rpartition(".")[2]], visibility)


def trash_key(key: str) -> str:
    """Return a new key for an object of a deleted asset; it is never served."""
    return _TRASH + moved_key(key, visibility_of(key))


def restored_key(key: str) -> str:
    """Return a new key for an object of a restored asset, with its previous visibility."""
    seen = key.removeprefix(_TRASH)
    return moved_key(seen, visibility_of(seen))


def visibility_of(key: str) -> Visibility:
    """Return the visibility of the object under `key`."""
    return Visibility.PUBLIC if is_public(key) else Visibility.PRIVATE


def is_public(key: str) -> bool:
    """Return whether anyone can fetch the object under `key`."""
    return key.startswith(_SHOWN)


def media_type_of(key: str) -> str | None:
    """Return the media type for a key's extension; None if the key is not a served one."""
    if not key.removeprefix(_PRIVATE).startswith(_SHOWN):
        return None
    return MEDIA_TYPES.get(ending_of(key))


def cache_control_of(key: str) -> str:
    """Return the Cache-Control header for the object under `key`."""
    return FOREVER if is_public(key) else FOR_ONE


def ending_of(key: str) -> str:
    """Return a name's extension without the dot, or an empty string."""
    return key.rpartition("/")[2].rpartition(".")[2]
