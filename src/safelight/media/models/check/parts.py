"""Checks the references between a glTF's meshes, materials, textures and skins.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.7 to 3.9.
"""

from safelight.media.errors import MediaTruncated
from safelight.media.models.check.bounds import part
from safelight.media.models.check.document import (
    UNSIGNED_BYTE,
    UNSIGNED_INT,
    UNSIGNED_SHORT,
    Document,
    Primitive,
)

_INDICES = frozenset({UNSIGNED_BYTE, UNSIGNED_SHORT, UNSIGNED_INT})


def check_parts(document: Document, *, is_packed: bool) -> None:
    """Raise `MediaTruncated` for a reference to a missing part or to one of the wrong type.

    If the model `is_packed`, its extension may supply the indices.
    """
    for index, mesh in enumerate(document.meshes):
        for primitive in mesh.primitives:
            _check_corners(document, primitive, f"mesh {index}", is_packed=is_packed)
            _check_attributes(document, primitive, f"mesh {index}")
    for index, material in enumerate(document.materials):
        for texture in material.textures():
            part(document.textures, texture, f"material {index}")
    for index, skin in enumerate(document.skins):
        if skin.inverse_bind_matrices is not None:
            part(document.accessors, skin.inverse_bind_matrices, f"skin {index}")
    _check_textures(document)
    _check_images(document)


def _check_attributes(document: Document, primitive: Primitive, name: str) -> None:
    named = primitive.attributes.values()
    if len({part(document.accessors, index, name).count for index in named}) > 1:
        raise MediaTruncated(f"The 3D file's {name} has attributes of different lengths.")
    position = primitive.attributes.get("POSITION")
    if position is not None and document.accessors[position].type != "VEC3":
        raise MediaTruncated(f"The 3D file's {name} has positions that are no places.")
    if primitive.material is not None:
        part(document.materials, primitive.material, name)


def _check_corners(document: Document, primitive: Primitive, name: str, *, is_packed: bool) -> None:
    if primitive.indices is None:
        return
    indices = part(document.accessors, primitive.indices, name)
    if indices.type != "SCALAR" or indices.component_type not in _INDICES:
        raise MediaTruncated(f"The 3D file's {name} has indices that are no numbers.")
    if indices.buffer_view is None and not is_packed:
        raise MediaTruncated(f"The 3D file's {name} has indices without data.")


def _check_textures(document: Document) -> None:
    for index, texture in enumerate(document.textures):
        for source in texture.sources():
            part(document.images, source, f"texture {index}")
        if texture.sampler is not None:
            part(document.samplers, texture.sampler, f"texture {index}")


def _check_images(document: Document) -> None:
    for index, image in enumerate(document.images):
        if image.uri is None and image.buffer_view is None:
            raise MediaTruncated(f"Image {index} of the 3D file has no data.")
        if image.buffer_view is not None:
            part(document.buffer_views, image.buffer_view, f"image {index}")
