"""The facts of a model are those of its scene as it stands, from any exporter."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from safelight.media.models.check.facts import ModelFacts
from safelight.media.models.take_in import ModelRules, look_at_model
from tests.models import packed


def _facts(tmp_path: Path, scene: trimesh.Scene | trimesh.Trimesh | bytes) -> ModelFacts:
    path = tmp_path / "model.glb"
    made = scene if isinstance(scene, bytes) else scene.export(file_type="glb")
    assert isinstance(made, bytes)
    path.write_bytes(made)
    return look_at_model(path, ModelRules())


def _box(*extents: float) -> trimesh.Trimesh:
    return trimesh.creation.box(extents=extents)


def _moved(x: float, y: float, z: float, scale: tuple[float, float, float] = (1, 1, 1)) -> Any:
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


def test_facts_when_a_box_is_given_are_exact(tmp_path: Path) -> None:
    facts = _facts(tmp_path, _box(2, 4, 0.5))
    assert facts.document() == {
        "triangles": 12,
        "vertices": 8,
        "meshes": 1,
        "materials": 0,
        "textures": 0,
        "animations": 0,
        "skins": 0,
        "watertight": True,
        "bounding_box": {"min": [-1, -2, -0.25], "max": [1, 2, 0.25]},
        "bounding_box_m": [2, 4, 0.5],
        "generator": "https://github.com/mikedh/trimesh",
    }


def test_facts_when_meshes_have_materials_of_their_own_count_them(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    for number, color in enumerate([(255, 0, 0, 255), (0, 0, 255, 255)]):
        box = _box(1, 1, 1)
        box.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=color))
        scene.add_geometry(box, transform=_moved(3 * number, 0, 0))
    facts = _facts(tmp_path, scene)
    assert (facts.meshes, facts.materials, facts.triangles) == (2, 2, 24)
    assert facts.box == ((-0.5, -0.5, -0.5), (3.5, 0.5, 0.5))
    assert facts.watertight


def test_facts_when_a_mesh_stands_in_many_places_count_each(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(_box(1, 1, 1), geom_name="box", node_name="one")
    for number in (1, 2, 3):
        matrix = _moved(2 * number, 0, 0)
        scene.graph.update(f"more {number}", geometry="box", matrix=matrix)
    facts = _facts(tmp_path, scene)
    assert (facts.meshes, facts.triangles, facts.vertices) == (1, 48, 32)
    assert facts.box == ((-0.5, -0.5, -0.5), (6.5, 0.5, 0.5))


@pytest.mark.parametrize("scale", [(-1.0, 1.0, 1.0), (-2.0, -1.0, -3.0)])
def test_facts_when_a_node_mirrors_its_mesh_stay_watertight(
    tmp_path: Path, scale: tuple[float, float, float]
) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(_box(1, 1, 1), transform=_moved(1, 0, 0, scale))
    facts = _facts(tmp_path, scene)
    x, y, z = (abs(part) / 2 for part in scale)
    assert facts.box == ((1 - x, -y, -z), (1 + x, y, z))
    assert facts.watertight


def test_facts_when_hard_edges_double_the_vertices_are_watertight(tmp_path: Path) -> None:
    box = _box(1, 1, 1)
    box.unmerge_vertices()
    facts = _facts(tmp_path, box)
    assert (facts.vertices, facts.watertight) == (36, True)


def test_facts_when_a_face_is_missing_or_turned_are_not_watertight(tmp_path: Path) -> None:
    box = _box(1, 1, 1)
    missing = trimesh.Trimesh(box.vertices, box.faces[1:])
    assert _facts(tmp_path, missing).watertight is False
    faces = box.faces.copy()
    faces[3] = faces[3][::-1]
    turned = trimesh.Trimesh(box.vertices, faces, process=False)
    assert _facts(tmp_path, turned).watertight is False


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_facts_when_a_model_is_tiny_or_huge_are_in_its_own_size(
    tmp_path: Path, size: float
) -> None:
    facts = _facts(tmp_path, _box(size, size, size))
    assert facts.document()["bounding_box_m"] == pytest.approx([size] * 3)
    assert facts.watertight


def test_facts_when_a_model_moves_tell_it_as_it_rests(tmp_path: Path) -> None:
    data = _box(1, 1, 1).export(file_type="glb")
    assert isinstance(data, bytes)
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    document["animations"] = [{"channels": [], "samplers": []}] * 2
    document["nodes"].append({"name": "joint"})
    document["skins"] = [{"joints": [len(document["nodes"]) - 1]}]
    document["asset"]["generator"] = "a rig"
    facts = _facts(tmp_path, packed(document, data[28 + length :]))
    assert (facts.animations, facts.skins, facts.generator) == (2, 1, "a rig")
    assert facts.box == ((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("mode", [0, 1, 3])
def test_facts_when_there_are_but_points_or_lines_have_no_triangles(
    tmp_path: Path, mode: int
) -> None:
    places = np.zeros((4, 3), "<f4").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(places)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(places)}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "mode": mode}]}],
        "nodes": [{"mesh": 0}],
    }
    facts = _facts(tmp_path, packed(document, places))
    assert (facts.triangles, facts.vertices, facts.watertight) == (0, 4, None)


def test_facts_when_there_is_nothing_at_all_say_so(tmp_path: Path) -> None:
    facts = _facts(tmp_path, packed({"asset": {"version": "2.0"}}))
    assert (facts.triangles, facts.vertices, facts.box) == (0, 0, None)
