"""Which glTF extensions stand in the way: those that a file cannot be seen without.

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
# What they add may be left out of a small picture.
_ADDS = (
    "KHR_animation_",
    "KHR_lights_",
    "KHR_materials_",
    "KHR_xmp",
)
# Viewers know them, Safelight does not: such a file is kept, but there are no pictures of it.
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
    """Return whether a known extension that Safelight cannot read packs the model.

    Raises `MediaUnsupported` where the file needs an extension that nobody here has heard of.
    """
    needed = frozenset(document.extensions_required)
    for name in sorted(needed - _READ - _PACKS):
        if not name.startswith(_ADDS):
            raise MediaUnsupported(f"The 3D file needs the extension {name[:80]}.")
    return bool(needed & _PACKS)
