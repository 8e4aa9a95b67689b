"""The document of an asset, its lists, and what surrounds it: trash, renditions, facets."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.values import Cursor, Metadata, Moment, Tags, Visibility
from safelight.json_object import JsonObject

AssetKind = Literal["image", "model_3d"]
AssetId = Annotated[str, Field(examples=["ast_01k9x3v7q2m8"])]


class Rendition(TypedDict):
    """A smaller picture of an asset."""

    url: str
    media_type: Annotated[str, Field(examples=["image/webp"])]
    width: Annotated[int, Field(examples=[256])]
    height: Annotated[int, Field(examples=[256])]
    bytes: Annotated[int, Field(examples=[9_210])]


class Asset(TypedDict):
    """A picture or 3D model that is stored."""

    id: AssetId
    kind: AssetKind
    job_id: Annotated[str | None, Field(description="The job that made it.")]
    name: Annotated[str, Field(examples=["cat.png"])]
    caption: str | None
    external_id: str | None
    tags: Tags
    metadata: Metadata
    media_type: Annotated[str, Field(examples=["image/png"])]
    bytes: Annotated[int, Field(examples=[204_118])]
    width: Annotated[int | None, Field(examples=[1024])]
    height: Annotated[int | None, Field(examples=[1024])]
    visibility: Visibility
    url: Annotated[
        str | None, Field(description="Permanent if public; signed and short-lived if private.")
    ]
    download_url: Annotated[str | None, Field(description="The same, saved as a file.")]
    renditions: Annotated[
        dict[str, Rendition], Field(description="Smaller pictures, by name: `thumb`, `preview`, …")
    ]
    placeholder: Annotated[str | None, Field(description="A thumbhash in base64.")]
    facts: Annotated[
        JsonObject, Field(description="What was read from the file or told by its maker.")
    ]
    sha256: Annotated[str, Field(description="Of the original.")]
    source_url: Annotated[str | None, Field(description="Where it was imported from.")]
    prompt: str | None
    model: str | None
    provider: str | None
    created_at: Moment
    expires_at: Annotated[Moment | None, Field(description="When it is deleted automatically.")]
    held: Annotated[bool, Field(description="Under legal hold: it cannot be deleted.")]


class SimilarAsset(Asset):
    """An asset that looks like another one."""

    distance: Annotated[int, Field(description="Differing bits of 64.", examples=[3])]


class FacetCount(TypedDict):
    """How many matches have a value."""

    value: str
    count: int


class Facets(TypedDict):
    """Value counts over the newest matches, for each facet that was asked for."""

    counted: Annotated[int, Field(description="How many matches were counted.")]
    complete: Annotated[bool, Field(description="Whether those are all matches.")]
    kind: NotRequired[list[FacetCount]]
    format: NotRequired[list[FacetCount]]
    tag: NotRequired[list[FacetCount]]
    host: NotRequired[list[FacetCount]]
    model: NotRequired[list[FacetCount]]


class AssetList(TypedDict):
    """A page of assets."""

    data: list[Asset]
    next_cursor: Cursor
    facets: NotRequired[Facets]


class SimilarAssetList(TypedDict):
    """Assets that look alike, nearest first."""

    data: list[SimilarAsset]
    next_cursor: Cursor


class Deleted(TypedDict):
    """A deleted thing, and the time until which it can be restored."""

    id: Annotated[str, Field(description="The asset or the job.")]
    assets: Annotated[list[AssetId], Field(description="The assets that went to the trash.")]
    purge_at: Annotated[
        Moment | None,
        Field(description="Until when `POST /v1/trash/{id}/restore` brings them back; or null."),
    ]


class TrashedAsset(TypedDict):
    """A deleted asset that can still be restored."""

    id: AssetId
    kind: AssetKind
    name: str
    media_type: Annotated[str, Field(examples=["image/png"])]
    bytes: int
    created_at: Moment
    deleted_at: Moment
    purge_at: Annotated[Moment, Field(description="When it is removed permanently.")]


class TrashList(TypedDict):
    """A page of deleted assets."""

    data: list[TrashedAsset]
    next_cursor: Cursor


class SignedRendition(TypedDict):
    """The signed URL of a picture in another size or format."""

    url: str
    w: int | None
    h: int | None
    fit: Literal["contain", "cover", "fill"]
    format: Literal["auto", "webp", "avif", "jpeg", "png"]
    quality: int | None
    width: Annotated[int, Field(description="Pixels the result will have.", examples=[640])]
    height: Annotated[int, Field(examples=[480])]


class UsageLine(TypedDict):
    """How much of one kind is stored."""

    what: Annotated[
        str,
        Field(
            description="`image`, `model_3d`, `rendition`, `variant`, `original` or `deleted`.",
            examples=["image"],
        ),
    ]
    count: int
    bytes: int


class StorageUsage(TypedDict):
    """How much an account stores."""

    data: list[UsageLine]
    bytes: Annotated[int, Field(description="The total.")]
