"""Writes a material as a USD preview surface with its texture readers.

https://openusd.org/release/spec_usdpreviewsurface.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

from safelight.media.models.formats.scene import Material, Opacity, Texture, TextureImage, Wrap

_WRAPS = {Wrap.REPEAT: "repeat", Wrap.MIRROR: "mirror", Wrap.CLAMP: "clamp"}
_INDENT = " " * 8


@dataclass(frozen=True, slots=True)
class Use:
    """A material, and the vertex attributes of the surface that uses it."""

    material: Material
    has_places: bool
    has_colors: bool


def material_text(use: Use, name: str, path: str, pictures: Mapping[TextureImage, str]) -> bytes:
    """Return the material's prim, for `path`."""
    shaders = _Shaders(path, pictures)
    inputs = _surface(use, shaders)
    lines = [
        f'def Material "{name}"',
        "{",
        f"    token outputs:surface.connect = <{path}/Surface.outputs:surface>",
        *_shader("Surface", "UsdPreviewSurface", [*inputs, "token outputs:surface"]),
        *shaders.lines,
        "}",
    ]
    return "".join(f"{_INDENT}{line}\n" for line in lines).encode()


class _Shaders:
    """The shader nodes that feed a surface's inputs, created on demand."""

    def __init__(self, path: str, pictures: Mapping[TextureImage, str]) -> None:
        self.lines: list[str] = []
        self._path = path
        self._pictures = pictures
        self._names: set[str] = set()

    def texture(
        self,
        name: str,
        texture: Texture,
        *,
        scale: tuple[float, ...] = (1, 1, 1, 1),
        bias: tuple[float, ...] = (0, 0, 0, 0),
        is_color: bool = False,
    ) -> str:
        """Return the path of a node that outputs a texture's values times `scale` plus `bias`."""
        self._reader("Places", "float2", "st")
        lines = [
            f"asset inputs:file = @{self._pictures[texture.picture]}@",
            f"float2 inputs:st.connect = <{self._path}/Places.outputs:result>",
            f'token inputs:wrapS = "{_WRAPS[texture.across]}"',
            f'token inputs:wrapT = "{_WRAPS[texture.down]}"',
            f'token inputs:sourceColorSpace = "{"sRGB" if is_color else "raw"}"',
            f"float4 inputs:scale = {_tuple(*scale)}",
            f"float4 inputs:bias = {_tuple(*bias)}",
            "float outputs:r",
            "float outputs:g",
            "float outputs:b",
            "float outputs:a",
            "float3 outputs:rgb",
        ]
        self.lines += _shader(name, "UsdUVTexture", lines)
        return f"{self._path}/{name}"

    def colors(self) -> str:
        """Return the output with the vertex colors."""
        return f"{self._reader('Colors', 'float3', 'displayColor')}.outputs:result"

    def _reader(self, name: str, kind: str, primvar: str) -> str:
        if name not in self._names:
            self._names.add(name)
            lines = [f'string inputs:varname = "{primvar}"', f"{kind} outputs:result"]
            self.lines += _shader(name, f"UsdPrimvarReader_{kind}", lines)
        return f"{self._path}/{name}"


def _surface(use: Use, shaders: _Shaders) -> list[str]:
    material = use.material
    inputs = [*_color(use, shaders), *_roughness(use, shaders)]
    if material.opacity is Opacity.MASK:
        inputs.append(f"float inputs:opacityThreshold = {material.cutoff:.9g}")
    if use.has_places and material.normal:
        size = material.normal_scale
        node = shaders.texture(
            "Normal",
            material.normal,
            scale=(2 * size, 2 * size, 2, 1),
            bias=(-size, -size, -1, 0),
        )
        inputs.append(f"normal3f inputs:normal.connect = <{node}.outputs:rgb>")
    if use.has_places and material.occlusion:
        node = shaders.texture("Occlusion", material.occlusion)
        inputs.append(f"float inputs:occlusion.connect = <{node}.outputs:r>")
    return inputs + _emission(use, shaders)


def _color(use: Use, shaders: _Shaders) -> list[str]:
    """Return color and opacity inputs; a texture replaces vertex colors."""
    material = use.material
    alpha = [] if material.opacity is Opacity.OPAQUE else [material.color[3]]
    if use.has_places and material.color_texture:
        node = shaders.texture("Color", material.color_texture, scale=material.color, is_color=True)
        inputs = [f"color3f inputs:diffuseColor.connect = <{node}.outputs:rgb>"]
        return inputs + [f"float inputs:opacity.connect = <{node}.outputs:a>" for _ in alpha]
    inputs = [f"float inputs:opacity = {value:.9g}" for value in alpha]
    if use.has_colors:
        return [*inputs, f"color3f inputs:diffuseColor.connect = <{shaders.colors()}>"]
    return [*inputs, f"color3f inputs:diffuseColor = {_tuple(*material.color[:3])}"]


def _roughness(use: Use, shaders: _Shaders) -> list[str]:
    material = use.material
    if not (use.has_places and material.surface):
        return [
            f"float inputs:metallic = {material.metallic:.9g}",
            f"float inputs:roughness = {material.roughness:.9g}",
        ]
    scale = (1, material.roughness, material.metallic, 1)
    node = shaders.texture("Roughness", material.surface, scale=scale)
    return [
        f"float inputs:metallic.connect = <{node}.outputs:b>",
        f"float inputs:roughness.connect = <{node}.outputs:g>",
    ]


def _emission(use: Use, shaders: _Shaders) -> list[str]:
    material = use.material
    if use.has_places and material.emission_texture:
        scale = (*material.emission, 1)
        node = shaders.texture("Glow", material.emission_texture, scale=scale, is_color=True)
        return [f"color3f inputs:emissiveColor.connect = <{node}.outputs:rgb>"]
    return [f"color3f inputs:emissiveColor = {_tuple(*material.emission)}"]


def _shader(name: str, kind: str, lines: list[str]) -> list[str]:
    body = [f'uniform token info:id = "{kind}"', *lines]
    return [
        f'    def Shader "{name}"',
        "    {",
        *(f"        {line}" for line in body),
        "    }",
    ]


def _tuple(*values: float) -> str:
    return f"({', '.join(f'{value:.9g}' for value in values)})"
