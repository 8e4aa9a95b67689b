"""Adds a body to icons that show only a head or a bust."""

from dataclasses import dataclass, replace
from functools import lru_cache

from safelight.providers.local.sketch import colors, vocabulary
from safelight.providers.local.sketch.colors import shade
from safelight.providers.local.sketch.prompt import Item

_HEAD, _HEAD_UP = 0.64, 0.2  # a head's size in the 32 units, and its top
_BUST = 0.76
_HANDS = ((10.4, 24.6), (21.6, 24.6))
_WHOLE_WIDTH = 32
_SKIN = ("#ffc83d", "#ffc22e")
_CHIN = 19.2
_EYES = 0.55  # position of the eyes, from the head's top


@dataclass(frozen=True, slots=True)
class Figure:
    """The body drawn for a head (`head`) or a bust on legs (`bust`) or in a robe (`robe`)."""

    kind: str
    coat: str
    front: str
    hands: str
    feet: str
    tail: str = ""


def of(icon: str) -> Figure | None:
    """Return an icon's figure; None if the icon needs no body."""
    return _figures()[0].get(icon)


def acting(item: Item) -> Item:
    """Return an item whose figure can hold and wear things, replacing one in profile."""
    icon, _, color = _figures()[1].get(item.icon, item.icon).partition(" ")
    return replace(item, icon=icon, color=item.color or color or None)


def is_person(icon: str) -> bool:
    figure = of(icon)
    whole = icon.startswith(("man-", "woman-", "person-"))
    return whole or (figure is not None and (figure.kind != "head" or figure.hands in _SKIN))


def body(icon: str) -> str:
    """Return the SVG of an icon, in 32 x 32 units, with a body added if needed."""
    figure, drawn = of(icon), vocabulary.icon(icon)
    if figure is None:
        return _above_water(drawn, icon)
    if figure.kind == "head":
        return _paints(figure) + _plush(figure) + _moved(drawn, _HEAD, _HEAD_UP)
    lower = _robe() if figure.kind == "robe" else _legs(figure)
    return _paints(figure) + lower + _moved(drawn, _BUST, 0)


def hands(icon: str) -> str:
    """Return the SVG of a figure's hands, drawn over what it holds; empty if it has none."""
    figure = of(icon)
    if figure is None or figure.kind != "head":
        return ""
    return _paints(figure) + "".join(
        f'<circle cx="{x}" cy="{y}" r="2.1" fill="url(#§hands)"/>' for x, y in _HANDS
    )


def box(icon: str) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the painted area."""
    left, top, right, bottom = vocabulary.box(icon)
    figure = of(icon)
    if figure is None:
        return left, top, right, _figures()[2].get(icon, bottom)
    if figure.kind == "head":
        return _across(left, _HEAD), top * _HEAD + _HEAD_UP, _across(right, _HEAD), 31.8
    return _across(left, _BUST), top * _BUST, _across(right, _BUST), 31.8


def top(icon: str, share: float) -> float:
    """Return the height of the upper outline at `share` of the painted width."""
    figure, outline = of(icon), vocabulary.top(icon, share)
    if figure is None:
        return outline
    return outline * _HEAD + _HEAD_UP if figure.kind == "head" else outline * _BUST


def eyes(icon: str) -> float:
    """Return the height of a figure's eyes."""
    _, upper, _, lower = vocabulary.box(icon)
    return (upper + (lower - upper) * _EYES) * _HEAD + _HEAD_UP


def neck() -> float:
    """Return the height of a figure's neck."""
    return _CHIN


def _above_water(drawn: str, icon: str) -> str:
    """Clip the piece of sea that boats are drawn with, since the scene has its own."""
    waterline = _figures()[2].get(icon)
    if waterline is None:
        return drawn
    return (
        f'<defs><clipPath id="§water"><path d="M0 0h32v{waterline}q-2-1.2-4 0t-4 0t-4 0t-4 0t-4 0'
        't-4 0t-4 0t-4 0z"/></clipPath></defs>'
        f'<g clip-path="url(#§water)">{drawn}</g>'
    )


def _across(x: float, share: float) -> float:
    return _WHOLE_WIDTH / 2 + (x - _WHOLE_WIDTH / 2) * share


def _moved(drawn: str, share: float, down: float) -> str:
    aside = _WHOLE_WIDTH / 2 * (1 - share)
    return f'<g transform="translate({aside:.2f} {down:.2f}) scale({share})">{drawn}</g>'


def _paints(figure: Figure) -> str:
    """Return gradients that shade the parts as the icons are, lit from the upper left."""
    parts = {
        "coat": figure.coat,
        "front": figure.front,
        "hands": figure.hands,
        "feet": figure.feet,
    }
    return "".join(
        f'<defs><radialGradient id="§{name}" cx=".4" cy=".28" r=".8">'
        f'<stop stop-color="{_lit(color, 0.07)}"/><stop offset=".55" stop-color="{color}"/>'
        f'<stop offset="1" stop-color="{_lit(color, -0.13)}"/></radialGradient></defs>'
        for name, color in parts.items()
    )


def _lit(color: str, by: float) -> str:
    hue, light, saturation = colors.parts(color)
    return shade(hue, saturation, light + by)


def _plush(figure: Figure) -> str:
    """Return a sitting body, like a soft toy's."""
    tails = {
        "bushy": '<path d="M20 28c5 2 9-1 9-6c0-3-2-5-3.4-3.4c-1.4 1.6 0 3-2 5"/>',
        "long": '<path d="M20 29c6 1.5 8-2 7-6" fill="none" stroke-width="2" '
        'stroke="url(#§coat)" stroke-linecap="round"/>',
    }
    return (
        f'<g fill="url(#§coat)">{tails.get(figure.tail, "")}'
        '<path d="M16 15.5c5 0 7.2 5 7.2 9.6c0 4.2-3 6.3-7.2 6.3s-7.2-2.1-7.2-6.3'
        'c0-4.6 2.2-9.6 7.2-9.6z"/></g>'
        '<ellipse cx="16" cy="25.6" rx="4.3" ry="4.9" fill="url(#§front)"/>'
        '<g fill="url(#§feet)"><ellipse cx="11.3" cy="30" rx="3.5" ry="1.9"/>'
        '<ellipse cx="20.7" cy="30" rx="3.5" ry="1.9"/></g>'
        '<g stroke="url(#§coat)" stroke-width="3.4" stroke-linecap="round" fill="none">'
        '<path d="M11.3 20.5L9.8 23.8"/><path d="M20.7 20.5L22.2 23.8"/></g>'
        '<g fill="url(#§hands)"><circle cx="9.9" cy="24.6" r="1.9"/>'
        '<circle cx="22.1" cy="24.6" r="1.9"/></g>'
    )


def _legs(figure: Figure) -> str:
    del figure  # all bodies use the same paint names
    return (
        '<g fill="url(#§coat)"><rect x="8.8" y="18.5" width="14.4" height="8" rx="3"/>'
        '<rect x="9.6" y="22" width="5.7" height="8.6" rx="2"/>'
        '<rect x="16.7" y="22" width="5.7" height="8.6" rx="2"/></g>'
        '<g fill="url(#§feet)"><path d="M8.4 31.8c0-2.4 1.6-3.2 4-3.2s3.2 1.4 3.2 3.2z"/>'
        '<path d="M23.6 31.8c0-2.4-1.6-3.2-4-3.2s-3.2 1.4-3.2 3.2z"/></g>'
    )


def _robe() -> str:
    return (
        '<path fill="url(#§coat)" d="M8 20h16l2.9 10.2c.2 1-.5 1.6-1.4 1.6h-19'
        'c-.9 0-1.6-.6-1.4-1.6z"/>'
        '<path fill="url(#§front)" d="M14.3 21h3.4l1.8 10.8h-7z"/>'
    )


@lru_cache(1)
def _figures() -> tuple[dict[str, Figure], dict[str, str], dict[str, float]]:
    bodies: dict[str, Figure] = {}
    acting_for: dict[str, str] = {}
    waterlines: dict[str, float] = {}
    for head, told in vocabulary.table_lines("figures.txt"):
        kind, _, icon = head.partition(" ")
        if kind == "acts":
            acting_for[icon] = told
        elif kind == "afloat":
            waterlines[icon] = float(told)
        else:
            bodies[icon] = Figure(kind, *told.split())
    return bodies, acting_for, waterlines
