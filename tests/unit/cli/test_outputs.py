"""The file names of outputs: one file, numbered files, or a folder with harmless names."""

import os
import re
from pathlib import Path

import pytest

from safelight.cli.failure import BadUse
from safelight.cli.saved import outputs
from tests.unit.cli.documents import asset, batch, done


def test_plan_when_there_is_one_output_is_the_target_itself() -> None:
    assert outputs.plan([("lamp", asset())], "out/cat.png") == [Path("out/cat.png")]


def test_plan_when_there_are_several_numbers_them() -> None:
    made = [("lamp", asset())] * 3
    assert outputs.plan(made, "cat.png") == [
        Path("cat-1.png"),
        Path("cat-2.png"),
        Path("cat-3.png"),
    ]


def test_plan_when_there_are_several_and_no_ending_makes_a_folder_and_keeps_names() -> None:
    mesh = asset(kind="model_3d", media_type="model/gltf-binary")
    assert outputs.plan([("mug", mesh), ("lamp", mesh)], "out") == [
        Path("out/mug.glb"),
        Path("out/lamp.glb"),
    ]
    assert outputs.plan([("mug", mesh)], "out") == [Path("out")]


def test_plan_when_the_target_is_a_folder_names_by_what_each_is(tmp_path: Path) -> None:
    mesh = asset(media_type="model/gltf-binary")
    made = [("mug", mesh), ("mug", mesh), ("lamp", asset(media_type="image/jpeg"))]
    assert outputs.plan(made, str(tmp_path)) == [
        tmp_path / "mug.glb",
        tmp_path / "mug-2.glb",
        tmp_path / "lamp.jpg",
    ]


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (done(), "a lamp"),
        (done(name="my mug.v2.png"), "my mug.v2"),
        (done(name="../../etc/passwd"), "passwd"),
        (done(prompt=None, source_url="https://a.example/x/photo.jpg?size=2"), "photo"),
        (done(prompt="cats/dogs: \x1b[2J\n./"), "cats-dogs- --2J"),
        (done(prompt="…"), "ast_1"),
        (done(prompt="x" * 300), "x" * 80),
    ],
)
def test_outputs_when_named_by_others_have_harmless_names(job: object, name: str) -> None:
    assert outputs.outputs_of(job)[0][0] == name  # pyright: ignore[reportArgumentType]


def test_outputs_when_an_item_failed_or_has_no_address_leave_it_out() -> None:
    document = batch(
        done(name="a.png"),
        done(name="b.png", outputs=[asset(url=None)]),
        problem={"title": "Too large"},
    )
    assert [name for name, _ in outputs.outputs_of(document)] == ["a"]


@pytest.mark.parametrize(
    ("name", "kind", "media_type", "form"),
    [
        ("cat.jpg", "image", "image/png", "jpeg"),
        ("cat.avif", "image", "image/png", "avif"),
        ("cat.jpeg", "image", "image/jpeg", None),
        ("cat.PNG", "image", "image/png", None),
        ("cat", "image", "image/png", None),
        ("cat.gif", "image", "image/gif", None),
        ("mug.stl", "model_3d", "model/gltf-binary", "stl"),
        ("mug.zip", "model_3d", "model/gltf-binary", "obj"),
        ("mug.glb", "model_3d", "model/gltf-binary", None),
    ],
)
def test_conversion_when_the_ending_promises_something_else_is_what_makes_it_true(
    name: str, kind: str, media_type: str, form: str | None
) -> None:
    assert outputs.conversion(Path(name), asset(kind=kind, media_type=media_type)) == form


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("cat.bmp", "image", ".png, .jpg, .webp, .avif"),
        ("cat.gif", "image", "name it .png"),
        ("cat.glb", "image", "no known ending"),
        ("mug.png", "model_3d", ".glb"),
        ("mug.obj", "model_3d", "name it .zip"),
        ("mug.fbx", "model_3d", "name it .glb"),
    ],
)
def test_conversion_when_nothing_can_make_it_true_is_refused(
    name: str, kind: str, says: str
) -> None:
    media_type = "image/png" if kind == "image" else "model/gltf-binary"
    with pytest.raises(BadUse, match=re.escape(says)):
        outputs.conversion(Path(name), asset(kind=kind, media_type=media_type))


def test_conversion_when_a_format_is_asked_for_besides_agrees_with_the_ending() -> None:
    mesh = asset(kind="model_3d", media_type="model/gltf-binary")
    assert outputs.conversion(Path("mug.stl"), mesh, "stl") == "stl"
    assert outputs.conversion(Path("mug"), mesh, "obj") == "obj"
    assert outputs.conversion(Path("cat.png"), asset(), "png") is None
    for path, form in (("mug.glb", "stl"), ("mug.zip", "stl"), ("mug.stl", "blend")):
        with pytest.raises(BadUse, match="--format"):
            outputs.conversion(Path(path), mesh, form)


@pytest.mark.parametrize("name", ["cat.bmp", "mug.glb", "v1.2"])
def test_target_when_its_ending_is_of_another_kind_is_refused_before_any_work(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(BadUse, match="no known ending"):
        outputs.check_target(str(tmp_path / name), outputs.IMAGE)


def test_target_when_it_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "cat.png")
    os.mkfifo(tmp_path / "pipe.png")
    for target in (tmp_path / "link.png", tmp_path / "pipe.png", Path(os.devnull)):
        with pytest.raises(BadUse, match="not a regular file"):
            outputs.check_target(str(target))


def test_target_when_it_ends_like_a_folder_becomes_one(tmp_path: Path) -> None:
    outputs.check_target(f"{tmp_path}/new/deep/")
    assert (tmp_path / "new" / "deep").is_dir()


def test_target_when_its_folder_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="there is no folder"):
        outputs.check_target(str(tmp_path / "gone" / "cat.png"))
