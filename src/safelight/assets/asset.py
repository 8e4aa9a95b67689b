"""What an asset is: one picture or 3D model that is kept, with its public copy and renditions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from safelight import ids

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

_ORIGINALS = "originals/"


class AssetKind(StrEnum):
    """What a person sees it as."""

    IMAGE = "image"
    MODEL_3D = "model_3d"


class Rendition(TypedDict):
    """A smaller public picture of an asset."""

    key: str
    media_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of `assets`. `key` is the public copy, None while there is none.

    `number` counts the assets of an installation in the order of their making. `external_id`,
    `tags` and `metadata` are the caller's own, and so is `caption` once it has been changed.
    """

    id: str
    number: int
    account_id: str
    job_id: str | None
    position: int
    kind: AssetKind
    name: str
    caption: str
    external_id: str
    tags: list[str]
    metadata: dict[str, Any]
    key: str | None
    original_key: str
    media_type: str
    bytes: int
    width: int | None
    height: int | None
    sha256: str
    placeholder: str | None
    perceptual_hash: str | None
    facts: dict[str, Any]
    renditions: dict[str, Rendition]
    source_url: str
    source_host: str
    prompt: str
    model: str
    provider: str
    created_at: datetime
    expires_at: datetime | None  # when it goes by itself; None is never

    @property
    def public_keys(self) -> list[str]:
        """The keys of every public object of this asset, each once: a small picture has but one."""
        own = [self.key] if self.key else []
        return list(dict.fromkeys([*own, *(each["key"] for each in self.renditions.values())]))


def original_key(account_id: str, sha256: str) -> str:
    """Return a new key for an account's bytes, kept in private once however often they come."""
    return f"{_ORIGINALS}{account_id}/{sha256}-{ids.secret(40)}"


def is_original(key: str) -> bool:
    """Say whether `key` is a private original, which several assets may share."""
    return key.startswith(_ORIGINALS)


def public_key(kind: AssetKind, owner: str, media_type: str) -> str:
    """Return a new unguessable key for a public copy; `owner` is the job, or the asset if none."""
    folder = "models" if kind is AssetKind.MODEL_3D else "images"
    return f"{folder}/{owner}/{ids.secret(130)}.{EXTENSIONS[media_type]}"


def media_type_of(key: str) -> str | None:
    """Return the media type of a public key by its ending; None for a key that is not public."""
    folder, _, rest = key.partition("/")
    if folder not in ("images", "models"):
        return None
    return MEDIA_TYPES.get(rest.rpartition(".")[2])
