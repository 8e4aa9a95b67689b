"""Sketches as files: the same from the same, of the right size, without the prompt in them."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import pyvips

from safelight.providers.local.sketch import drawing, prompt
from safelight.providers.local.sketch.order import NOTE, Order
from tests import pictures


def order(folder: Path, text: str = "A red cat playing guitar") -> Order:
    return Order(
        prompt=text,
        negative_prompt="",
        width=160,
        height=120,
        seed=7,
        count=1,
        format="png",
        strength=0.6,
        references=(),
        folder=folder,
    )


def drawn(wanted: Order) -> list[bytes]:
    return [picture.path.read_bytes() for picture in drawing.draw_all(wanted)]


def test_draw_when_asked_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert drawn(order(tmp_path)) == drawn(order(tmp_path))


def test_draw_when_another_process_does_it_gives_the_same_bytes(tmp_path: Path) -> None:
    here = hashlib.sha256(drawn(order(tmp_path))[0]).hexdigest()
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from tests.unit.providers.test_sketch_drawing import drawn, order\n"
        "print(hashlib.sha256(drawn(order(Path(sys.argv[1])))[0]).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert there.stdout.strip() == here


def test_draw_when_the_seed_or_words_differ_gives_another_picture(tmp_path: Path) -> None:
    wanted = order(tmp_path, "a city")
    others = [replace(wanted, seed=8), replace(wanted, prompt="a village"), wanted]
    assert len({drawn(one)[0] for one in others}) == 3


def test_draw_when_several_are_wanted_makes_each_from_its_own_seed(tmp_path: Path) -> None:
    made = drawing.draw_all(replace(order(tmp_path, "a forest"), count=3))
    assert len({picture.path.read_bytes() for picture in made}) == 3
    assert len({picture.seed for picture in made}) == 3
    assert made[0].seed == 7


@pytest.mark.parametrize(("form", "loader"), [("png", "png"), ("jpeg", "jpeg"), ("webp", "webp")])
@pytest.mark.parametrize("size", [(64, 64), (300, 90), (90, 300)])
def test_draw_when_format_and_size_are_given_keeps_to_them(
    tmp_path: Path, form: str, loader: str, size: tuple[int, int]
) -> None:
    wanted = replace(order(tmp_path), format=form, width=size[0], height=size[1])
    image = pyvips.Image.new_from_buffer(drawn(wanted)[0], "")
    assert (image.width, image.height) == size
    assert loader in str(image.get("vips-loader"))


def test_draw_when_png_says_in_the_file_that_no_model_made_it(tmp_path: Path) -> None:
    assert NOTE.encode() in drawn(order(tmp_path))[0]


@pytest.mark.parametrize(
    "text",
    [
        '"/><script>alert(1)</script> cat',
        "cat ]]> <!-- dog",
        "&xxe; <!ENTITY xxe SYSTEM 'file:///etc/passwd'> cat",
        "url(#sky) §0 cat",
        "\u202e cat \u0000 \x07",
        "🐱🐶🐭",
        "a" * 10_000,
    ],
)
def test_compose_when_the_prompt_is_hostile_holds_none_of_it(tmp_path: Path, text: str) -> None:
    wanted = order(tmp_path, text)
    svg = drawing.compose(prompt.read(text), wanted, wanted.seed, [])
    for word in ("script", "alert", "ENTITY", "passwd", "]]>", "<!--", "§", "aaaa"):
        assert word not in svg
    assert drawn(wanted)[0].startswith(b"\x89PNG")


def test_draw_when_a_reference_is_given_takes_its_colors(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(pictures.encode(pictures.scene(64, 64) * 0 + [250, 20, 20], "png"))
    wanted = replace(order(tmp_path, "a cat"), references=(source,), strength=0.2)
    image = pyvips.Image.new_from_buffer(drawn(wanted)[0], "").copy_memory()
    red, green, blue = (image.extract_band(band).avg() for band in range(3))
    assert red > green + 50
    assert red > blue + 50
