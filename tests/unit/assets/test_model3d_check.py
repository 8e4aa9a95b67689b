"""Hostile and damaged models end as a clear refusal, before anything of them is decoded."""

import base64
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from safelight.media.errors import (
    MediaEmpty,
    MediaError,
    MediaTooManyPixels,
    MediaTruncated,
    MediaUnsupported,
)
from safelight.media.models.take_in import ModelRules, look_at_model
from tests.models import glb, packed

_RULES = ModelRules()
_TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
_INDICES = np.array([0, 1, 2], "<u2").tobytes()


def _document(**more: Any) -> dict[str, Any]:
    """A triangle with indices: accessor 0 is its places, 1 its corners."""
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 42}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    } | more


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The triangle's document with another value at a place such as `accessors.0.count`."""
    document = json.loads(json.dumps(_document()))
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part = document
    for step in above:
        part = part[step]
    part[last] = value
    return document


def _look(tmp_path: Path, data: bytes, rules: ModelRules = _RULES) -> dict[str, Any]:
    path = tmp_path / "model.glb"
    path.write_bytes(data)
    return look_at_model(path, rules).document()


def _refusal(tmp_path: Path, data: bytes, rules: ModelRules = _RULES) -> MediaError:
    with pytest.raises(MediaError) as refused:
        _look(tmp_path, data, rules)
    return refused.value


def _of(document: object) -> bytes:
    return packed(document, _TRIANGLE + _INDICES)


def test_check_when_the_file_is_sound_passes(tmp_path: Path) -> None:
    assert _look(tmp_path, _of(_document()))["triangles"] == 1
    assert _look(tmp_path, glb())["triangles"] == 1


@pytest.mark.parametrize("length", [1, 11, 19, 20, 60, 400])
def test_check_when_the_file_ends_early_says_so(tmp_path: Path, length: int) -> None:
    assert isinstance(_refusal(tmp_path, _of(_document())[:length]), MediaTruncated)


def test_check_when_the_file_is_empty_says_so(tmp_path: Path) -> None:
    assert isinstance(_refusal(tmp_path, b""), MediaEmpty)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"glTX"), (4, struct.pack("<I", 1)), (16, b"NOSJ")],
    ids=["magic", "version", "chunk"],
)
def test_check_when_the_container_is_another_is_unsupported(
    tmp_path: Path, at: int, value: bytes
) -> None:
    data = bytearray(_of(_document()))
    data[at : at + len(value)] = value
    assert isinstance(_refusal(tmp_path, bytes(data)), MediaUnsupported)


@pytest.mark.parametrize("at", [8, 12, -52], ids=["file", "JSON", "binary"])
@pytest.mark.parametrize("length", [0xFFFFFFFF, 2**20])
def test_check_when_a_length_is_wrong_says_so(tmp_path: Path, at: int, length: int) -> None:
    data = bytearray(_of(_document()))
    struct.pack_into("<I", data, at if at > 0 else len(data) + at, length)
    assert isinstance(_refusal(tmp_path, bytes(data)), MediaTruncated)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"{}", b'"glTF"', b'{"asset": 2}', b'{"buffers": {"a": 1}}'],
)
def test_check_when_the_description_is_no_gltf_says_so(tmp_path: Path, text: bytes) -> None:
    assert isinstance(_refusal(tmp_path, packed(text)), MediaTruncated)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("buffers.0.byteLength", 46),
        ("buffers.0.byteLength", -1),
        ("bufferViews.0.buffer", 1),
        ("bufferViews.0.byteLength", 43),
        ("bufferViews.1.byteOffset", 2**62),
        ("bufferViews.0.byteOffset", -4),
        ("bufferViews.0.byteStride", 8),
        ("bufferViews.0.byteStride", 14),
        ("bufferViews.1.byteOffset", 35),
        ("accessors.0.bufferView", 2),
        ("accessors.0.byteOffset", 4),
        ("accessors.0.byteOffset", 2),
        ("accessors.0.count", 4),
        ("accessors.0.count", 0),
        ("accessors.0.count", 2**40),
        ("accessors.0.componentType", 5124),
        ("accessors.0.type", "VEC5"),
        ("accessors.0.type", "VEC4"),
        ("accessors.1.componentType", 5126),
        ("accessors.1.bufferView", None),
        ("meshes.0.primitives", []),
        ("meshes.0.primitives.0.attributes.POSITION", 1),
        ("meshes.0.primitives.0.attributes.NORMAL", 7),
        ("meshes.0.primitives.0.indices", 0),
        ("meshes.0.primitives.0.indices", 9),
        ("meshes.0.primitives.0.material", 0),
        ("meshes.0.primitives.0.mode", 7),
        ("nodes.0.mesh", 1),
        ("nodes.0.skin", 0),
        ("nodes.0.children", [1]),
        ("scenes.0.nodes", [1]),
        ("scene", 1),
        ("textures", [{"source": 0}]),
        ("materials", [{"normalTexture": {"index": 0}}]),
        ("images", [{}]),
        ("skins", [{"joints": [3]}]),
    ],
)
def test_check_when_a_part_does_not_fit_says_so(tmp_path: Path, path: str, value: Any) -> None:
    assert isinstance(_refusal(tmp_path, _of(_changed(path, value))), MediaTruncated)


@pytest.mark.parametrize(
    "sparse",
    [
        {"count": 4},
        {"count": 1, "indices": {"bufferView": 5, "componentType": 5123}},
        {"count": 1, "indices": {"bufferView": 1, "byteOffset": 6, "componentType": 5123}},
        {"count": 1, "indices": {"bufferView": 1, "componentType": 5125, "byteOffset": 2}},
        {"count": 1, "values": {"bufferView": 1}},
    ],
)
def test_check_when_sparse_values_do_not_fit_says_so(
    tmp_path: Path, sparse: dict[str, Any]
) -> None:
    whole = {
        "indices": {"bufferView": 1, "componentType": 5123},
        "values": {"bufferView": 0},
    } | sparse
    refused = _refusal(tmp_path, _of(_changed("accessors.0.sparse", whole)))
    assert isinstance(refused, MediaTruncated)


def test_check_when_an_index_is_beyond_the_vertices_says_so(tmp_path: Path) -> None:
    beyond = np.array([0, 1, 3], "<u2").tobytes()
    refused = _refusal(tmp_path, packed(_document(), _TRIANGLE + beyond))
    assert isinstance(refused, MediaTruncated)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_when_a_place_is_no_number_says_so(tmp_path: Path, value: float) -> None:
    places = np.array([[0, 0, 0], [1, value, 0], [0, 1, 0]], "<f4").tobytes()
    refused = _refusal(tmp_path, packed(_document(), places + _INDICES))
    assert isinstance(refused, MediaTruncated)


def test_check_when_a_normal_is_no_number_keeps_the_model(tmp_path: Path) -> None:
    normals = np.full((3, 3), np.nan, "<f4").tobytes()
    views = [
        {"buffer": 0, "byteLength": 36},
        {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        {"buffer": 0, "byteOffset": 44, "byteLength": 36},
    ]
    document = _document(
        buffers=[{"byteLength": 80}],
        bufferViews=views,
        accessors=[
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": 3, "type": "VEC3"},
        ],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 2}, "indices": 1}]}],
    )
    found = _look(tmp_path, packed(document, _TRIANGLE + _INDICES + bytes(2) + normals))
    assert found["triangles"] == 1
    assert "undrawn" not in found


@pytest.mark.parametrize("address", ["https://a.invalid/b.bin", "../b.bin", "file:///etc/passwd"])
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_check_when_it_refers_to_other_files_is_unsupported(
    tmp_path: Path, kind: str, address: str
) -> None:
    document = _document()
    document[kind] = [*document.get(kind, []), {"byteLength": 4, "uri": address}]
    refused = _refusal(tmp_path, _of(document))
    assert isinstance(refused, MediaUnsupported)
    assert "other files" in refused.detail


def test_check_when_data_lies_in_an_address_reads_it(tmp_path: Path) -> None:
    data = base64.b64encode(_TRIANGLE + _INDICES).decode()
    address = f"data:application/octet-stream;base64,{data}"
    document = _document(buffers=[{"byteLength": 42, "uri": address}])
    assert _look(tmp_path, packed(document))["triangles"] == 1
    damaged = _document(buffers=[{"byteLength": 42, "uri": address[:-9] + "!"}])
    assert isinstance(_refusal(tmp_path, packed(damaged)), MediaTruncated)


@pytest.mark.parametrize("scenes", [[{"nodes": [0]}], [{"nodes": []}], []])
def test_check_when_nodes_form_a_ring_says_so(tmp_path: Path, scenes: list[Any]) -> None:
    nodes = [{"mesh": 0}, {"children": [2]}, {"children": [1]}]
    refused = _refusal(tmp_path, _of(_document(nodes=nodes, scenes=scenes)))
    assert isinstance(refused, MediaTruncated)


def test_check_when_a_node_has_two_parents_says_so(tmp_path: Path) -> None:
    nodes = [{"children": [2]}, {"children": [2]}, {"mesh": 0}]
    document = _document(nodes=nodes, scenes=[{"nodes": [0, 1]}])
    assert isinstance(_refusal(tmp_path, _of(document)), MediaTruncated)


def test_check_when_the_tree_is_too_deep_says_so(tmp_path: Path) -> None:
    nodes: list[dict[str, Any]] = [{"children": [k + 1]} for k in range(300)] + [{"mesh": 0}]
    refused = _refusal(tmp_path, _of(_document(nodes=nodes)))
    assert "256 deep" in refused.detail
    assert _look(tmp_path, _of(_document(nodes=nodes)), replace(_RULES, max_depth=301))


def test_check_when_instances_multiply_triangles_counts_each(tmp_path: Path) -> None:
    nodes = [{"mesh": 0}] * 50
    document = _document(nodes=nodes, scenes=[{"nodes": list(range(50))}])
    rules = replace(_RULES, max_triangles=50)
    assert _look(tmp_path, _of(document), rules)["triangles"] == 50
    refused = _refusal(tmp_path, _of(document), replace(rules, max_triangles=49))
    assert refused.detail == "50 triangles are more than 49."
    refused = _refusal(tmp_path, _of(document), replace(rules, max_vertices=149))
    assert refused.detail == "150 vertices are more than 149."


def test_check_when_a_count_is_huge_but_has_no_data_refuses_it_at_once(tmp_path: Path) -> None:
    document = _document(
        accessors=[{"componentType": 5126, "count": 2**31, "type": "VEC3"}],
        meshes=[{"primitives": [{"attributes": {"POSITION": 0}}]}],
    )
    assert "more than" in _refusal(tmp_path, _of(document)).detail


@pytest.mark.parametrize("name", ["nodes", "accessors", "materials", "images", "animations"])
def test_check_when_a_list_is_endless_refuses_it(tmp_path: Path, name: str) -> None:
    document = _document(**{name: [{}] * 60_000})
    assert name in _refusal(tmp_path, _of(document)).detail


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 2000 + b"1" + b"}" * 2000], ids=["lists", "objects"]
)
def test_check_when_the_description_is_nested_too_deep_says_so(tmp_path: Path, text: bytes) -> None:
    assert isinstance(_refusal(tmp_path, packed(text)), MediaTruncated)


def test_check_when_the_description_is_too_long_refuses_it_unread(tmp_path: Path) -> None:
    refused = _refusal(tmp_path, packed(b'{"a":[' + b"[]," * (6 * 2**20) + b"[]]}"))
    assert isinstance(refused, MediaUnsupported)


def _textured(data: bytes) -> bytes:
    document = _document(
        buffers=[{"byteLength": 44 + len(data)}],
        images=[{"bufferView": 2, "mimeType": "image/png"}],
        textures=[{"source": 0}],
    )
    document["bufferViews"].append({"buffer": 0, "byteOffset": 44, "byteLength": len(data)})
    return packed(document, _TRIANGLE + _INDICES + bytes(2) + data)


def _png(side: int) -> bytes:
    return pyvips.Image.black(side, side).pngsave_buffer(compression=9)


def test_check_when_a_texture_is_a_bomb_refuses_it_by_its_header(tmp_path: Path) -> None:
    assert isinstance(_refusal(tmp_path, _textured(_png(8193))), MediaTooManyPixels)


def test_check_when_all_textures_are_too_much_refuses_them(tmp_path: Path) -> None:
    rules = replace(_RULES, max_pixels=99)
    assert _look(tmp_path, _textured(_png(9)), rules)["textures"] == 1
    assert isinstance(_refusal(tmp_path, _textured(_png(10)), rules), MediaTooManyPixels)


@pytest.mark.parametrize("data", [b"<svg/>", b"GIF89a\x01\x00\x01\x00", b"\x89PNG\r\n\x1a\n\x00"])
def test_check_when_a_texture_is_no_picture_refuses_it(tmp_path: Path, data: bytes) -> None:
    assert isinstance(_refusal(tmp_path, _textured(data)), MediaUnsupported | MediaTruncated)


def test_check_when_an_unknown_extension_is_required_names_it(tmp_path: Path) -> None:
    refused = _refusal(tmp_path, _of(_document(extensionsRequired=["ACME_cube"])))
    assert isinstance(refused, MediaUnsupported)
    assert "ACME_cube" in refused.detail


@pytest.mark.parametrize(
    "words",
    [
        {"extensionsUsed": ["ACME_cube"]},
        {"extensionsRequired": ["KHR_texture_transform", "KHR_materials_clearcoat"]},
    ],
)
def test_check_when_an_extension_may_be_left_out_passes(
    tmp_path: Path, words: dict[str, Any]
) -> None:
    assert _look(tmp_path, _of(_document(**words)))["watertight"] is False


def test_check_when_geometry_is_compressed_keeps_what_the_file_says(tmp_path: Path) -> None:
    document = _document(
        extensionsUsed=["KHR_draco_mesh_compression"],
        extensionsRequired=["KHR_draco_mesh_compression"],
        accessors=[
            {"componentType": 5126, "count": 500, "type": "VEC3"},
            {"componentType": 5125, "count": 2400, "type": "SCALAR"},
        ],
    )
    facts = _look(tmp_path, _of(document))
    assert (facts["triangles"], facts["vertices"]) == (800, 500)
    assert facts["extensions"] == ["KHR_draco_mesh_compression"]
    assert not {"watertight", "bounding_box"} & facts.keys()
