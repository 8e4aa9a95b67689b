"""Checks the glTF extensions that a file requires.

https://github.com/KhronosGroup/glTF/tree/main/extensions
"""

from safelight.media.errors import MediaUnsupported
from safelight.media.models.check.document import Document

_READ = frozenset(
    {
        "EXT_texture_webp",
        "KHR_materials_pbrSpecularGlossiness",
        "KHR_materials_unlit",
        "KHR_mesh_quantization",
        "KHR_texture_transform",
    }
)
# Optional for rendering: they can be ignored.
_ADDS = (
    "KHR_animation_",
    "KHR_lights_",
    "KHR_materials_",
    "KHR_xmp",
)
# Viewers support them, Safelight does not: such a file is kept, but not rendered.
_PACKS = frozenset(
    {
        "EXT_mesh_gpu_instancing",
        "EXT_meshopt_compression",
        "EXT_texture_avif",
        "KHR_draco_mesh_compression",
        "KHR_gaussian_splatting",
        "KHR_meshopt_compression",
        "KHR_texture_basisu",
        "MSFT_texture_dds",
    }
)


def check(document: Document) -> bool:
    """Return whether the model is packed by a known extension that Safelight cannot read.

    Raises `MediaUnsupported` if the file requires an unknown extension.
    """
    needed = frozenset(document.extensions_required)
    for name in sorted(needed - _READ - _PACKS):
        if not name.startswith(_ADDS):
            raise MediaUnsupported(f"The 3D file needs the extension {name[:80]}.")
    return bool(needed & _PACKS)
