"""Variants on request: spelling, choice of format, size of the result."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.errors import InvalidRequest
from safelight.media.pictures.spec import MAX_SIDE, Fit, Format, Spec, negotiate, order
from safelight.web.api.pictures import PictureQuery

SIDES = st.integers(1, MAX_SIDE)
PHOTOS = st.integers(1, 20_000)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    fit = draw(st.sampled_from(Fit))
    side = st.none() | SIDES if fit is Fit.CONTAIN else SIDES
    form = draw(st.sampled_from(Format))
    quality = 75 if form is Format.PNG else draw(st.integers(1, 100))
    return Spec(draw(side), draw(side), fit, form, quality)


def read(text: str) -> Spec:
    """A query as the web edge parses it."""
    return PictureQuery.model_validate(dict(parse_qsl(text))).spec()


def formats(accept: str, asked: Format = Format.AUTO) -> list[str]:
    return [spec.format.value for spec in negotiate(Spec(w=100, format=asked), accept)]


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("w=400", "w=400"),
        ("w=400&h=300&fit=contain&format=auto&quality=75", "h=300&w=400"),
        (
            "quality=80&w=400&h=300&format=webp&fit=cover",
            "fit=cover&format=webp&h=300&quality=80&w=400",
        ),
        ("format=png&quality=75", "format=png"),
        ("w=0400", "w=400"),
    ],
)
def test_canonical_when_spelled_otherwise_then_is_the_same(query: str, canonical: str) -> None:
    assert read(query).canonical == canonical


@given(specs())
def test_canonical_when_read_again_then_means_the_same(spec: Spec) -> None:
    assert read(spec.canonical) == spec
    names = [name for name, _ in parse_qsl(spec.canonical)]
    assert names == sorted(set(names))


@given(specs(), specs())
def test_canonical_when_specs_differ_then_differs(one: Spec, other: Spec) -> None:
    assert (one.canonical == other.canonical) == (one == other)


@pytest.mark.parametrize(
    ("fit", "w", "h"),
    [(Fit.COVER, 10, None), (Fit.COVER, None, 10), (Fit.FILL, 10, None), (Fit.FILL, None, None)],
)
def test_spec_when_a_side_of_the_box_is_missing_then_is_refused(
    fit: Fit, w: int | None, h: int | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Spec(w, h, fit)
    assert [error["field"] for error in caught.value.errors] == ["fit"]


def test_spec_when_png_has_a_quality_then_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Spec(format=Format.PNG, quality=50)
    assert [error["field"] for error in caught.value.errors] == ["quality"]


PLAIN = ["jpeg", "png"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("image/*", PLAIN),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", ["avif"]),
        ("image/webp,*/*;q=0.8", ["webp"]),
        ("image/avif;q=0.5, image/webp;q=0.9", ["webp"]),
        ("image/avif;q=0, image/webp", ["webp"]),
        ("image/avif;q=0,image/webp;q=0.000", PLAIN),
        ("image/webp;q=0.001", ["webp"]),
        ("IMAGE/AVIF ; Q=1.000", ["avif"]),
        ("image/webp;v=1;q=0.4, image/avif;q=0.3", ["webp"]),
        ("image/webp;q=high", PLAIN),
        ("image/webp;q=", PLAIN),
        ("image/webp;q=1.5, image/avif;q=0.2", ["webp"]),
        ("image/webp;q=nan", PLAIN),
        ("image/webp;q=-1", PLAIN),
        ("image/webpx", PLAIN),
        (",;,=,q", PLAIN),
        ("image/png," * 200 + "image/avif", PLAIN),
    ],
)
def test_settled_when_auto_then_goes_by_what_is_named(accept: str, expected: list[str]) -> None:
    assert formats(accept) == expected


@pytest.mark.parametrize("form", ["webp", "avif", "jpeg", "png"])
def test_settled_when_a_format_is_asked_for_then_is_that(form: str) -> None:
    assert formats("image/avif", Format(form)) == [form]


def test_settled_when_png_stands_in_then_has_no_quality() -> None:
    opaque, transparent = negotiate(Spec(w=9, quality=40), "")
    assert (opaque.canonical, transparent.canonical) == (
        "format=jpeg&quality=40&w=9",
        "format=png&w=9",
    )


@given(st.text(max_size=200))
def test_settled_when_the_header_is_anything_then_answers(accept: str) -> None:
    assert formats(accept)


@pytest.mark.parametrize(
    ("spec", "source", "expected"),
    [
        (Spec(), (3000, 2000), (3000, 2000)),
        (Spec(), (8192, 1000), (4096, 500)),
        (Spec(w=300), (3000, 2000), (300, 200)),
        (Spec(h=300), (3000, 2000), (450, 300)),
        (Spec(w=300, h=100), (3000, 2000), (150, 100)),
        (Spec(w=4000), (300, 200), (300, 200)),
        (Spec(w=100), (2, 20_000), (1, 4096)),
        (Spec(w=1), (3000, 2), (1, 1)),
        (Spec(w=400, h=300, fit=Fit.COVER), (3000, 2000), (400, 300)),
        (Spec(w=400, h=400, fit=Fit.COVER), (300, 200), (200, 200)),
        (Spec(w=4000, h=1000, fit=Fit.COVER), (300, 200), (300, 75)),
        (Spec(w=400, h=300, fit=Fit.FILL), (30, 2000), (400, 300)),
    ],
)
def test_order_when_given_a_box_then_fits_it(
    spec: Spec, source: tuple[int, int], expected: tuple[int, int]
) -> None:
    made = order(spec, *source)
    assert (made.width, made.height) == expected


@given(specs(), PHOTOS, PHOTOS)
def test_order_when_given_any_picture_then_keeps_to_box_and_source(
    spec: Spec, width: int, height: int
) -> None:
    made = order(spec, width, height)
    assert 1 <= made.width <= (spec.w or MAX_SIDE)
    assert 1 <= made.height <= (spec.h or MAX_SIDE)
    if spec.fit is not Fit.FILL:
        assert made.width <= width
        assert made.height <= height


@given(PHOTOS, PHOTOS, SIDES, SIDES)
def test_order_when_contained_then_touches_the_box_and_keeps_its_shape(
    width: int, height: int, w: int, h: int
) -> None:
    made = order(Spec(w, h), width, height)
    assert made.width in (w, width) or made.height in (h, height)
    scale = min(1, w / width, h / height)
    assert abs(made.width - width * scale) <= 1
    assert abs(made.height - height * scale) <= 1


@given(PHOTOS, PHOTOS, SIDES, SIDES)
def test_order_when_it_covers_then_is_the_largest_of_that_shape(
    width: int, height: int, w: int, h: int
) -> None:
    made = order(Spec(w, h, Fit.COVER), width, height)
    assert (made.width, made.height) == (w, h) or made.width == width or made.height == height
