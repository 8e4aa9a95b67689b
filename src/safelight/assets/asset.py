"""The asset: a stored picture or 3D model, with its public copy and renditions. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NotRequired, TypedDict

from safelight.assets.keys import Visibility, visibility_of
from safelight.json_object import JsonObject


class AssetKind(StrEnum):
    """The type of an asset."""

    IMAGE = "image"
    MODEL_3D = "model_3d"

    @property
    def folder(self) -> str:
        """The key prefix for objects of this kind."""
        return "models" if self is AssetKind.MODEL_3D else "images"


class Rendition(TypedDict):
    """A smaller picture derived from an asset."""

    key: str
    media_type: str
    width: int
    height: int
    bytes: int
    sha256: NotRequired[str]  # absent in rows of earlier versions


class NewAsset(TypedDict):
    """The row of an asset about to be inserted, whose objects are stored; missing texts are empty.

    `key` is None for a private input, and `original_key` equals it if there is no separate
    original. `width` and `height` are pixels of the served copy.
    """

    id: str
    account_id: str
    kind: AssetKind
    name: str
    position: int  # among its job's outputs
    key: str | None
    original_key: str | None
    media_type: str
    bytes: int
    sha256: str
    facts: JsonObject
    renditions: JsonObject
    job_id: NotRequired[str | None]
    caption: NotRequired[str]
    external_id: NotRequired[str]
    tags: NotRequired[list[str]]
    metadata: NotRequired[JsonObject]
    width: NotRequired[int | None]
    height: NotRequired[int | None]
    served_sha256: NotRequired[str]
    placeholder: NotRequired[str | None]
    perceptual_hash: NotRequired[str | None]
    source_url: NotRequired[str]
    source_host: NotRequired[str]
    prompt: NotRequired[str]
    model: NotRequired[str]
    provider: NotRequired[str]
    expires_at: NotRequired[datetime | None]


@dataclass(frozen=True, slots=True)
class Asset:
    """A row of `assets`. `key` is the copy that is served, None if there is none.

    `number` counts an installation's assets in order of creation. `external_id`, `tags` and
    `metadata` belong to the caller, and so does `caption` once it has been changed.
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
    metadata: JsonObject
    key: str | None
    original_key: str
    media_type: str
    bytes: int
    width: int | None
    height: int | None
    sha256: str
    placeholder: str | None
    perceptual_hash: str | None
    facts: JsonObject
    renditions: dict[str, Rendition]
    source_url: str
    source_host: str
    prompt: str
    model: str
    provider: str
    created_at: datetime
    expires_at: datetime | None  # when it expires; None: never
    hold: str  # the reason of a legal hold, or empty
    seq: int  # of its last event
    served_sha256: str | None = None  # of the object under `key`; None in rows of earlier versions

    @property
    def shown_keys(self) -> list[str]:
        """The distinct keys of all objects it serves; a small picture has only one."""
        own = [self.key] if self.key else []
        return list(dict.fromkeys([*own, *(each["key"] for each in self.renditions.values())]))

    @property
    def visibility(self) -> Visibility:
        """Its visibility; an asset without files is private."""
        return visibility_of(self.key) if self.key else Visibility.PRIVATE
