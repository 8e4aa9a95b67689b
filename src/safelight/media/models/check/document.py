"""Types for the JSON of a glTF 2.0, limited to the properties that the checks need.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 5 (properties).
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field
from pydantic.alias_generators import to_camel

from safelight.json_object import JsonObject

T = TypeVar("T")

Index: TypeAlias = Annotated[int, Field(ge=0)]
Size: TypeAlias = Annotated[int, Field(ge=1)]
# Stops at the first error, so that a hostile list does not yield a million of them.
Many: TypeAlias = Annotated[list[T], FailFast()]

UNSIGNED_BYTE, UNSIGNED_SHORT, UNSIGNED_INT = 5121, 5123, 5125


class Properties(BaseModel):
    """Base of all types: camel case in the file, unknown properties ignored."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class Asset(Properties):
    """The glTF version and the program that wrote the file."""

    version: str
    generator: str = ""


class Buffer(Properties):
    """A buffer: the file's binary chunk, or a URI."""

    byte_length: Size
    uri: str | None = None


class View(Properties):
    """A slice of a buffer; consecutive vertices may be `byte_stride` bytes apart."""

    buffer: Index
    byte_offset: Index = 0
    byte_length: Size
    byte_stride: Annotated[int, Field(ge=4, le=252)] | None = None


class SparseValues(Properties):
    """The replacement values of a sparse accessor."""

    buffer_view: Index
    byte_offset: Index = 0


class SparseIndices(SparseValues):
    """The indices of the replaced items."""

    component_type: Literal[5121, 5123, 5125]


class Sparse(Properties):
    """The `count` items that override an accessor's view."""

    count: Size
    indices: SparseIndices
    values: SparseValues


class Accessor(Properties):
    """`count` items of one type; without a view they are 0, except those in `sparse`."""

    buffer_view: Index | None = None
    byte_offset: Index = 0
    component_type: Literal[5120, 5121, 5122, 5123, 5125, 5126]
    count: Size
    type: Literal["SCALAR", "VEC2", "VEC3", "VEC4", "MAT2", "MAT3", "MAT4"]
    sparse: Sparse | None = None


class Primitive(Properties):
    """One surface: accessors by attribute name, indices, and a material."""

    attributes: dict[str, Index]
    indices: Index | None = None
    material: Index | None = None
    mode: Literal[0, 1, 2, 3, 4, 5, 6] = 4


class Mesh(Properties):
    """A group of primitives."""

    primitives: Annotated[Many[Primitive], Field(min_length=1)]


class Node(Properties):
    """A node of the tree, with its mesh."""

    children: Many[Index] = []
    mesh: Index | None = None
    skin: Index | None = None


class Scene(Properties):
    """The root nodes that are shown together."""

    nodes: Many[Index] = []


class Skin(Properties):
    """The joints a mesh is bound to, and an accessor of their inverse bind matrices."""

    joints: Annotated[Many[Index], Field(min_length=1)]
    inverse_bind_matrices: Index | None = None


class TexturePlace(Properties):
    """A material's reference to a texture, by index."""

    index: Index


class Roughness(Properties):
    """The metallic-roughness textures."""

    base_color_texture: TexturePlace | None = None
    metallic_roughness_texture: TexturePlace | None = None


class Material(Properties):
    """A material, reduced to its textures."""

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
    """EXT_texture_webp: the image to use instead."""

    source: Index


class TextureExtensions(Properties):
    """A texture's extensions."""

    webp: WebpSource | None = Field(default=None, alias="EXT_texture_webp")


class Texture(Properties):
    """An image with a sampler."""

    source: Index | None = None
    sampler: Index | None = None
    extensions: TextureExtensions = TextureExtensions()

    def sources(self) -> list[int]:
        webp = self.extensions.webp
        return [index for index in (self.source, webp and webp.source) if index is not None]


class Image(Properties):
    """An image, in a buffer view or a URI."""

    uri: str | None = None
    buffer_view: Index | None = None


class Document(Properties):
    """The root object; each list may be absent."""

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
    samplers: Many[JsonObject] = []
    images: Many[Image] = []
    animations: Many[JsonObject] = []
