"""Reads USD packages for tests by Pixar's own library, whose modules come without types."""

from dataclasses import dataclass
from importlib import import_module  # noqa: TID251  no types there
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

_sdf: Any = import_module("pxr.Sdf")
_usd: Any = import_module("pxr.Usd")
_geom: Any = import_module("pxr.UsdGeom")
_shade: Any = import_module("pxr.UsdShade")
_validation: Any = import_module("pxr.UsdValidation")


@dataclass(frozen=True, slots=True)
class Shader:
    """A node of a look."""

    node: Any

    def value(self, name: str) -> Any:
        return self.node.GetInput(name).Get()

    def source(self, name: str) -> "Shader":
        """Return the node that an input comes from."""
        return Shader(_shade.Shader(self._connection(name).source.GetPrim()))

    def channel(self, name: str) -> str:
        """Return which of that node's outputs it is."""
        return self._connection(name).sourceName

    def _connection(self, name: str) -> Any:
        (connected,), _ = self.node.GetInput(name).GetConnectedSources()
        return connected


@dataclass(frozen=True, slots=True)
class Mesh:
    """A surface of triangles."""

    mesh: Any

    @property
    def points(self) -> Floats:
        return np.array(self.mesh.GetPointsAttr().Get())

    @property
    def triangles(self) -> Floats:
        """The corners' places: (m, 3, 3)."""
        assert set(self.mesh.GetFaceVertexCountsAttr().Get()) == {3}
        return self.points[np.array(self.mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)]

    @property
    def is_double_sided(self) -> bool:
        return self.mesh.GetDoubleSidedAttr().Get()

    @property
    def surface(self) -> Shader:
        material, _ = _shade.MaterialBindingAPI(self.mesh).ComputeBoundMaterial()
        return Shader(material.ComputeSurfaceSource()[0])

    def of_vertices(self, name: str) -> Floats:
        primvar = _geom.PrimvarsAPI(self.mesh).GetPrimvar(name)
        assert primvar.GetInterpolation() == "vertex"
        return np.array(primvar.Get())


class Package:
    """A USDZ file. What is read of it lives as long as it does."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._stage = _usd.Stage.Open(self._path)

    @property
    def up(self) -> str:
        return _geom.GetStageUpAxis(self._stage)

    @property
    def unit_m(self) -> float:
        return _geom.GetStageMetersPerUnit(self._stage)

    @property
    def meshes(self) -> list[Mesh]:
        return [Mesh(_geom.Mesh(prim)) for prim in self._stage.Traverse() if prim.IsA(_geom.Mesh)]

    def mistakes(self) -> list[str]:
        """Return what USD's own validators say, all of them, those for packages included."""
        validators = _validation.ValidationRegistry().GetOrLoadAllValidators()
        names = {validator.GetMetadata().name for validator in validators}
        assert "usdUtilsValidators:UsdzPackageValidator" in names
        found = _validation.ValidationContext(validators).Validate(self._stage)
        return [error.GetMessage() for error in found]

    def entries(self) -> dict[str, tuple[int, int]]:
        """Return where each file's content begins, and how it is compressed (0 is not at all)."""
        package = _sdf.ZipFile.Open(self._path)
        infos = {name: package.GetFileInfo(name) for name in package.GetFileNames()}
        return {name: (info.dataOffset, info.compressionMethod) for name, info in infos.items()}
