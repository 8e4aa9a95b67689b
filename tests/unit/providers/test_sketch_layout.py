"""Placement of things: apart, within the picture, and of realistic sizes."""

from itertools import pairwise
from random import Random

import pytest

from safelight.providers.local.sketch import figure, layout, prompt
from safelight.providers.local.sketch.holding import Placed


def arranged(text: str, width: int = 1024, height: int = 1024) -> list[Placed]:
    return layout.arrange(prompt.read(text), width, height, Random(7))  # noqa: S311


def span(placed: Placed) -> tuple[float, float]:
    left, _, right, _ = figure.box(placed.item.icon)
    half = (right - left) / 32 * placed.size / 2
    return placed.x - half, placed.x + half


def one(text: str, icon: str) -> Placed:
    return next(placed for placed in arranged(text) if placed.item.icon == icon)


@pytest.mark.parametrize("size", [(1024, 1024), (1600, 640), (640, 1600), (64, 64)])
@pytest.mark.parametrize(
    "text", ["a cat", "a dog and a horse", "three blue dolphins", "an elephant, a fox and a bear"]
)
def test_arrange_when_there_are_few_things_keeps_them_apart_and_inside(
    text: str, size: tuple[int, int]
) -> None:
    placed = arranged(text, *size)
    spans = sorted(span(one) for one in placed)
    assert spans[0][0] >= 0
    assert max(right for _, right in spans) <= size[0]
    if size[0] >= size[1]:  # a tall picture shows them behind each other
        assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(0 < one.size <= one.foot <= size[1] for one in placed)


@pytest.mark.parametrize(
    ("text", "small", "large"),
    [
        ("a mouse and an elephant", "mouse", "elephant"),
        ("a cat beside a horse", "cat", "horse"),
        ("an ant and a dog", "ant", "dog"),
        ("a dog next to a castle", "dog", "castle"),
    ],
)
def test_arrange_when_things_differ_in_life_draws_the_smaller_one_smaller(
    text: str, small: str, large: str
) -> None:
    assert one(text, small).size < one(text, large).size


def test_arrange_when_there_are_things_of_the_sky_puts_them_above_the_others() -> None:
    bird, dog = one("a dog and a bird", "bird"), one("a dog and a bird", "dog")
    assert bird.foot < dog.foot - dog.size * 0.5


def test_arrange_when_something_flies_over_another_puts_it_above() -> None:
    text = "a dragon flying over a castle"
    assert one(text, "dragon").foot < one(text, "castle").foot - one(text, "castle").size * 0.5


def test_arrange_when_riding_puts_the_rider_on_top_and_behind_the_mount() -> None:
    placed = arranged("an astronaut riding a horse")
    assert [one.item.icon for one in placed] == ["astronaut", "horse"]
    assert placed[0].foot < placed[1].foot
    assert placed[0].size < placed[1].size


def test_arrange_when_an_animal_plays_shows_a_figure_with_its_hands_over_the_instrument() -> None:
    placed = arranged("a red cat playing guitar")
    assert [one.item.icon for one in placed] == ["cat-face", "guitar", "cat-face"]
    assert placed[0].item.color == placed[2].item.color == "red"
    assert placed[2].hands_only


def test_arrange_when_a_hat_is_worn_puts_it_on_the_head() -> None:
    dog, hat = arranged("a dog wearing a top hat")
    assert hat.item.icon == "top-hat"
    assert dog.foot - dog.size < hat.foot < dog.foot - dog.size * 0.6
    assert abs(hat.x - dog.x) < dog.size * 0.1


def test_arrange_when_in_a_boat_draws_the_boat_before_its_passenger() -> None:
    cat, boat = arranged("a cat in a boat")
    assert (cat.item.icon, boat.item.icon) == ("cat", "canoe")
    assert cat.foot > boat.foot - boat.size


def test_arrange_when_many_colors_are_wanted_gives_each_its_own() -> None:
    birds = arranged("four colorful birds")
    assert len({bird.item.color for bird in birds}) == 4


def test_arrange_when_nothing_is_named_places_nothing() -> None:
    assert arranged("the concept of subsidiarity") == []


@pytest.mark.parametrize("icon", ["fox", "astronaut", "princess", "girl", "cat-face"])
def test_figure_when_an_icon_is_a_head_or_bust_gives_it_feet(icon: str) -> None:
    assert figure.of(icon) is not None
    assert figure.box(icon)[3] == pytest.approx(31.8)
    assert len(figure.body(icon)) > 1000


def test_figure_when_a_boat_is_shown_in_water_cuts_the_water_off() -> None:
    assert "clip-path" in figure.body("canoe")
    assert figure.box("canoe")[3] < 25
