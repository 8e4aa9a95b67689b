"""Prompts parsed into things, counts, colors, relations and scenes, in many languages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.providers.local.sketch import prompt
from safelight.providers.local.sketch.prompt import MAX_DRAWN, MAX_ITEMS, Item


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("A red cat playing guitar", [Item("cat", 1, "red"), Item("guitar", relation="play")]),
        ("three blue dolphins", [Item("dolphin", 3, "blue")]),
        ("5 penguins", [Item("penguin", 5)]),
        ("rabbits", [Item("rabbit", 3)]),
        ("a dark green dragon", [Item("dragon", 1, "green", "dark")]),
        ("an astronaut riding a horse", [Item("astronaut"), Item("horse", relation="ride")]),
        ("a cat wearing a top hat", [Item("cat"), Item("top-hat", relation="wear")]),
        ("a bird on a house", [Item("bird"), Item("house", relation="on")]),
        (
            "a black dog and a white cat",
            [Item("dog", 1, "black"), Item("cat", 1, "white", None, "beside")],
        ),
        ("a kitten", [Item("cat")]),
        ("a girl", [Item("girl")]),
        ("a woman", [Item("woman-standing")]),
        ("a cat without a dog", [Item("cat")]),
        (
            "eine rote Katze spielt Gitarre",
            [Item("cat", 1, "red"), Item("guitar", relation="play")],
        ),
        ("un chat rouge", [Item("cat", 1, "red")]),
        ("dos perros azules", [Item("dog", 2, "blue")]),
        ("赤い猫", [Item("cat", 1, "red")]),
        ("красный кот", [Item("cat", 1, "red")]),
        ("una gatta", [Item("cat")]),
        ("the concept of subsidiarity", []),
        ("🦊🚀🌙", [Item("fox"), Item("rocket"), Item("crescent-moon")]),
        ("👩🏽‍🚀 on a 🐎", [Item("astronaut"), Item("horse", relation="on")]),
        ("🐱🐱🐱", [Item("cat-face", 3)]),
        ("قطة حمراء", [Item("cat", 1, "red")]),
        ("القطة والكلب", [Item("cat"), Item("dog", relation="beside")]),
        ("חתול אדום", [Item("cat", 1, "red")]),
        ("רכבת כחולה וכלב", [Item("train", 1, "blue"), Item("dog", relation="beside")]),
        ("एक लाल बिल्ली", [Item("cat", 1, "red")]),
        ("तीन नीले कुत्ते", [Item("dog", 3, "blue")]),
        ("แมวสีแดง", [Item("cat", 1, "red")]),
        ("สุนัขสามตัว", [Item("dog", 3)]),
        ("红色的猫和一只狗", [Item("cat", 1, "red"), Item("dog", relation="beside")]),
        ("빨간 고양이", [Item("cat", 1, "red")]),
    ],
)
def test_read_when_things_are_named_finds_them(text: str, items: list[Item]) -> None:
    assert list(prompt.read(text).items) == items


@pytest.mark.parametrize(
    ("text", "places", "times", "weathers"),
    [
        ("a neon city street at night", ("city", "street"), ("night",), ("neon",)),
        ("snowy mountain at sunset", ("mountain",), ("sunset",), ("snow",)),
        ("a fox in an autumn forest", ("forest",), ("autumn",), ()),
        ("a pirate ship in a storm", ("sea",), (), ("storm",)),
        ("a jellyfish", ("underwater",), (), ()),
        ("un perro en la playa", ("beach",), (), ()),
        ("🦊 🌆", ("city",), ("sunset",), ()),
        ("كلب في الغابة ليلا", ("forest",), ("night",), ()),
        ("כלב בעיר בלילה", ("city",), ("night",), ()),
        ("जंगल में एक कुत्ता", ("forest",), (), ()),
        ("หมาบนชายหาด", ("beach",), (), ()),
        ("森の中の狐", ("forest",), (), ()),
        ("숲 속의 여우", ("forest",), (), ()),
    ],
)
def test_read_when_a_scene_is_named_combines_its_parts(
    text: str, places: tuple[str, ...], times: tuple[str, ...], weathers: tuple[str, ...]
) -> None:
    scene = prompt.read(text)
    assert (scene.places, scene.times, scene.weathers) == (places, times, weathers)


@pytest.mark.parametrize(
    ("text", "icons", "missed"),
    [
        ("a cat in the style of van gogh", ["cat"], ["van gogh"]),
        ("a cat by Van Gogh", ["cat"], ["van gogh"]),
        ("a watercolor of a fox", ["fox"], ["watercolor"]),
        ("a fox, watercolor style", ["fox"], ["watercolor"]),
        ("photorealistic portrait of a dog", ["dog"], ["photorealistic", "portrait"]),
        ("an isometric castle", ["castle"], ["isometric"]),
        ("pencil drawing of a house", ["house"], ["pencil drawing"]),
        ("comic book style dragon", ["dragon"], ["comic book style"]),
        (
            "a dragon in the style of a stained glass window",
            ["dragon"],
            ["stained glass", "window"],
        ),
        ("a rose in crystal ball style", ["rose"], ["crystal ball"]),
        ("ein Hund im Stil von Picasso", ["dog"], ["picasso"]),
        ("梵高风格的猫", ["cat"], ["梵高"]),
        ("水彩画的猫", ["cat"], ["水彩画"]),
        ("수채화 고양이", ["cat"], ["수채화"]),
        ("a happy cat with a xyzzy", ["cat"], ["happy", "xyzzy"]),
        ("A red cat playing guitar", ["cat", "guitar"], []),
        ("a van on a road", ["sport-utility-vehicle"], []),
    ],
)
def test_read_when_words_change_nothing_tells_them_and_takes_no_style_for_a_thing(
    text: str, icons: list[str], missed: list[str]
) -> None:
    scene = prompt.read(text)
    assert [item.icon for item in scene.items] == icons
    assert list(scene.unrecognized) == missed


def test_read_when_there_are_more_things_than_fit_tells_those_left_out() -> None:
    scene = prompt.read("a cat, a dog, a fox, a cow, a pig, a horse, a lion")
    assert scene.unrecognized == ("lion",)


def test_read_when_a_background_is_named_colors_it_and_not_the_thing() -> None:
    scene = prompt.read("a cat on a blue background")
    assert scene.background == "blue"
    assert scene.items[0].color is None


def test_read_when_a_negative_prompt_names_things_leaves_them_out() -> None:
    scene = prompt.read("a girl and a dog in the rain", "girl, rain")
    assert [item.icon for item in scene.items] == ["dog"]
    assert scene.weathers == ()


def test_read_when_far_too_much_is_asked_for_stays_within_bounds() -> None:
    names = "cat dog horse cow pig fox wolf bear lion tiger"
    scene = prompt.read(" ".join(f"99 {name}s" for name in names.split()))
    assert len(scene.items) <= MAX_ITEMS
    assert sum(item.count for item in scene.items) <= MAX_DRAWN


@pytest.mark.timeout(20)  # it takes milliseconds, unless it hangs
def test_read_when_the_prompt_is_long_ends_soon() -> None:
    assert prompt.read("a red cat plays with wonderful xyzzy machines " * 220)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_read_when_given_anything_answers_within_bounds(text: str) -> None:
    scene = prompt.read(text, text[:50])
    assert sum(map(len, scene.unrecognized)) <= 800
    assert sum(item.count for item in scene.items) <= MAX_DRAWN
    assert len(scene.items) <= MAX_ITEMS
