"""The file names of outputs: one file, numbered files, or a folder with harmless names."""

from pathlib import Path

import pytest

from safelight.cli import outputs
from safelight.cli.failure import BadUse
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
    ("name", "media_type", "is_told"),
    [
        ("cat.jpg", "image/png", True),
        ("cat.jpeg", "image/jpeg", False),
        ("cat.PNG", "image/png", False),
        ("cat", "image/png", False),
    ],
)
def test_mismatch_when_the_ending_promises_something_else_is_told(
    name: str, media_type: str, is_told: bool
) -> None:
    assert bool(outputs.mismatch(Path(name), asset(media_type=media_type))) == is_told


def test_target_when_it_ends_like_a_folder_becomes_one(tmp_path: Path) -> None:
    outputs.check_target(f"{tmp_path}/new/deep/")
    assert (tmp_path / "new" / "deep").is_dir()


def test_target_when_its_folder_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="there is no folder"):
        outputs.check_target(str(tmp_path / "gone" / "cat.png"))
