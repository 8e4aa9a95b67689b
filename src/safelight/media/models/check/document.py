"""What the JSON of a glTF 2.0 says, with types: of its words those that a check needs.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 5 (properties).
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")

Index: TypeAlias = Annotated[int, Field(ge=0)]
Size: TypeAlias = Annotated[int, Field(ge=1)]
# A hostile list of a million mistakes is not worth a million errors.
Many: TypeAlias = Annotated[list[T], FailFast()]

UNSIGNED_BYTE, UNSIGNED_SHORT, UNSIGNED_INT = 5121, 5123, 5125


class Properties(BaseModel):
    """What all have in common: names as in the file, and the unknown is left alone."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Asset(Properties):
    """Which glTF it is, and what wrote it."""

    version: str
    generator: str = ""


class Buffer(Properties):
    """Bytes: those of the file's binary chunk, or of an address."""

    byte_length: Size
    uri: str | None = None


class View(Properties):
    """A part of a buffer; rows of vertices may lie `byte_stride` apart."""

    buffer: Index
    byte_offset: Index = 0
    byte_length: Size
    byte_stride: Annotated[int, Field(ge=4, le=252)] | None = None


class SparseValues(Properties):
    """What items of an accessor are replaced by."""

    buffer_view: Index
    byte_offset: Index = 0


class SparseIndices(SparseValues):
    """Which items those are."""

    component_type: Literal[5121, 5123, 5125]


class Sparse(Properties):
    """The `count` items that differ from an accessor's view."""

    count: Size
    indices: SparseIndices
    values: SparseValues


class Accessor(Properties):
    """`count` items of a type; without a view all are 0 until `sparse` says otherwise."""

    buffer_view: Index | None = None
    byte_offset: Index = 0
    component_type: Literal[5120, 5121, 5122, 5123, 5125, 5126]
    count: Size
    type: Literal["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]
    sparse: Sparse | None = None


class Primitive(Properties):
    """One surface: accessors by what they mean, corners, and a look."""

    attributes: dict[str, Index]
    indices: Index | None = None
    material: Index | None = None
    mode: Literal[0, 1, 2, 3, 4, 5, 6] = 4


class Mesh(Properties):
    """Surfaces that belong together."""

    primitives: Annotated[Many[Primitive], Field(min_length=1)]


class Node(Properties):
    """A place in the tree, and what stands there."""

    children: Many[Index] = []
    mesh: Index | None = None
    skin: Index | None = None


class Scene(Properties):
    """The trees that are shown together."""

    nodes: Many[Index] = []


class Skin(Properties):
    """The nodes that a mesh hangs on, and an accessor of where each was then."""

    joints: Annotated[Many[Index], Field(min_length=1)]
    inverse_bind_matrices: Index | None = None


class TexturePlace(Properties):
    """A texture by its number, as a material names it."""

    index: Index


class Roughness(Properties):
    """The metallic-roughness look."""

    base_color_texture: TexturePlace | None = None
    metallic_roughness_texture: TexturePlace | None = None


class Material(Properties):
    """What a surface looks like."""

    pbr_metallic_roughness: Roughness = Roughness()
    normal_texture: TexturePlace | None = None
    occlusion_texture: TexturePlace | None = None
    emissive_texture: TexturePlace | None = None

    def textures(self) -> list[int]:
        every = (
            self.pbr_metallic_roughness.base_color_texture,
            self.pbr_metallic_roughness.metallic_roughness_texture,
            self.normal_texture,
            self.occlusion_texture,
            self.emissive_texture,
        )
        return [place.index for place in every if place is not None]


class WebpSource(Properties):
    """EXT_texture_webp: the image to take instead."""

    source: Index


class TextureExtensions(Properties):
    """What extensions say of a texture."""

    webp: WebpSource | None = Field(default=None, alias="EXT_texture_webp")


class Texture(Properties):
    """An image, and how it goes on beyond its edges."""

    source: Index | None = None
    sampler: Index | None = None
    extensions: TextureExtensions = TextureExtensions()

    def sources(self) -> list[int]:
        webp = self.extensions.webp
        return [index for index in (self.source, webp and webp.source) if index is not None]


class Image(Properties):
    """A picture: of a view, or of an address."""

    uri: str | None = None
    buffer_view: Index | None = None


class Document(Properties):
    """The whole; each list may be missing."""

    asset: Asset
    extensions_used: Many[str] = []
    extensions_required: Many[str] = []
    buffers: Many[Buffer] = []
    buffer_views: Many[View] = []
    accessors: Many[Accessor] = []
    meshes: Many[Mesh] = []
    nodes: Many[Node] = []
    scene: Index | None = None
    scenes: Many[Scene] = []
    skins: Many[Skin] = []
    materials: Many[Material] = []
    textures: Many[Texture] = []
    samplers: Many[dict[str, Any]] = []
    images: Many[Image] = []
    animations: Many[dict[str, Any]] = []
