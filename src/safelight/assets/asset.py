"""What an asset is: one picture or 3D model that is kept, with its public copy and renditions.

Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from safelight.assets.keys import Visibility, visibility_of


class AssetKind(StrEnum):
    """What a person sees it as."""

    IMAGE = "image"
    MODEL_3D = "model_3d"

    @property
    def folder(self) -> str:
        """Where objects of this kind are, as their keys say."""
        return "models" if self is AssetKind.MODEL_3D else "images"


class Rendition(TypedDict):
    """A smaller public picture of an asset."""

    key: str
    media_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of `assets`. `key` is the copy that is shown, None where there is none.

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
    hold: str  # why it may not go; empty is that it may
    seq: int  # of its last event

    @property
    def shown_keys(self) -> list[str]:
        """The keys of every object that it shows, each once: a small picture has but one."""
        own = [self.key] if self.key else []
        return list(dict.fromkeys([*own, *(each["key"] for each in self.renditions.values())]))

    @property
    def visibility(self) -> Visibility:
        """Who gets what it shows; what shows nothing is its owner's alone."""
        return visibility_of(self.key) if self.key else Visibility.PRIVATE
