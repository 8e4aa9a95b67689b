"""Places things that others hold, wear, ride or eat. Pure."""

from dataclasses import dataclass, replace

from safelight.providers.local.sketch import figure
from safelight.providers.local.sketch.prompt import Item

OVERHEAD = frozenset({"balloon", "kite", "umbrella"})
_EYEWEAR = frozenset({"glasses", "sunglasses", "goggles"})
_ROUND_THE_NECK = frozenset({"scarf", "necktie", "prayer-beads"})
_CONTAINERS = frozenset(
    {"canoe", "sailboat", "speedboat", "ship", "ferry", "motor-boat", "passenger-ship"}
    | {"automobile", "taxi", "racing-car", "pickup-truck", "sport-utility-vehicle", "bus"}
    | {"tractor", "basket", "package", "bathtub", "bucket", "hot-beverage", "shopping-cart"}
    | {"teacup-without-handle", "wrapped-gift", "nest-with-eggs", "empty-nest"}
)
_INSTRUMENTS = frozenset({"guitar", "violin", "banjo", "saxophone", "trumpet", "flute"})
_ACTING = frozenset({"play", "hold", "eat", "wear"})
_ICON = 32
_HAND = (5.8, 24.5)  # position of a figure's hand, from its center and its top, in 32 units


@dataclass(frozen=True, slots=True)
class Placed:
    """An icon on the picture: position of its feet, height, and rotation. In pixels.

    `turned` is in degrees. With `hands_only`, only a figure's hands are drawn, over what it holds.
    """

    item: Item
    x: float
    foot: float
    size: float
    flipped: bool = False
    shadow: bool = True
    turned: float = 0.0
    hands_only: bool = False


def group(body: Placed, attached: tuple[Item, ...]) -> list[Placed]:
    """Return a thing with everything it rides, holds or wears, back to front."""
    if any(item.relation in _ACTING for item in attached):
        body = replace(body, item=figure.acting(body.item), flipped=False)
    elif attached:
        body = replace(body, flipped=False)
    drawn = [body]
    for item in attached:
        if item.relation in ("ride", "on", "in"):
            drawn = _mounted(drawn, item)
        elif item.relation == "under":
            drawn = [*_under(body, item), *drawn]
        elif figure.of(body.item.icon) and item.icon in OVERHEAD and item.relation != "wear":
            drawn = [*_overhead(body, item), *drawn]
        elif figure.of(body.item.icon):
            drawn += _of_figure(body, item)
        else:
            drawn += _of_animal(body, item)
    return drawn


def _mounted(riders: list[Placed], item: Item) -> list[Placed]:
    """Place riders: behind an animal's back or a boat's side, or on top."""
    first = riders[0]
    inside = item.relation == "ride" or item.icon in _CONTAINERS
    mount = Placed(item, first.x, first.foot, first.size * 0.8, shadow=first.shadow)
    left, _, right, bottom = figure.box(item.icon)
    # A boat is in profile, with or without a mast: its center is low.
    level = bottom - (bottom - figure.top(item.icon, 0.2)) * 0.9 if item.icon == "sailboat" else 0
    outline = max(figure.top(item.icon, 0.5), level)
    back = mount.foot - mount.size * (bottom - outline) / _ICON
    share = min(0.6, 0.75 * (right - left) / _ICON)
    sunk = 0.22 if inside else 0.0
    seated = [
        replace(
            rider,
            foot=back + first.size * share * sunk - (first.foot - rider.foot) * share,
            x=first.x + (rider.x - first.x) * share,
            size=rider.size * share,
            shadow=False,
        )
        for rider in riders
    ]
    return [*seated, mount] if inside else [mount, *seated]


def _under(body: Placed, item: Item) -> list[Placed]:
    """Return the large thing behind and above a body."""
    return [Placed(item, body.x, body.foot - body.size * 0.04, body.size * 1.3)]


def _of_figure(body: Placed, item: Item) -> list[Placed]:
    """Return the things that a figure holds or wears."""
    if item.relation == "wear":
        return [_worn(body, item)]
    unit = body.size / _ICON
    left, top, right, bottom = figure.box(item.icon)
    long = item.icon in _INSTRUMENTS
    size = body.size * (0.56 if long or item.relation == "play" else 0.4) / item.count**0.3
    half = size * (bottom - top) / _ICON / 2
    middle = body.foot - (31.8 - (25.2 if long else 25.6)) * unit
    has_hands = bool(figure.hands(body.item.icon))
    aside = 0.0 if has_hands else _HAND[0] * 1.6 * unit
    held = [
        Placed(
            item,
            body.x + aside + (number - (item.count - 1) / 2) * size * (right - left) / _ICON * 0.7,
            middle + half,
            size,
            shadow=False,
            turned=14 if item.icon == "guitar" else 0,
        )
        for number in range(item.count)
    ]
    return [*held, replace(body, hands_only=True, shadow=False)] if has_hands else held


def _overhead(body: Placed, item: Item) -> list[Placed]:
    """Return balloons, kites and umbrellas in a figure's hand, behind its head."""
    unit = body.size / _ICON
    hand = body.foot - (31.8 - _HAND[1]) * unit
    size = body.size * (1.0 if item.icon == "umbrella" else 0.66)
    left, _, right, _ = figure.box(item.icon)
    # A balloon's string starts at its left corner, an umbrella's stick at its center.
    aside = 0.1 if item.icon == "umbrella" else (right - left) / _ICON / 2
    return [
        Placed(
            item,
            body.x + _HAND[0] * unit + size * (aside + 0.3 * number),
            hand - size * 0.1 * number,
            size,
            shadow=False,
        )
        for number in range(item.count)
    ]


def _worn(body: Placed, item: Item) -> Placed:
    """Return a thing worn on the eyes, neck or head."""
    unit = body.size / _ICON
    _, top, _, bottom = figure.box(item.icon)
    if item.icon in _EYEWEAR:
        size = body.size * 0.4
        level = body.foot - (31.8 - figure.eyes(body.item.icon)) * unit
        return Placed(item, body.x, level + size * (bottom - top) / _ICON / 2, size, shadow=False)
    if item.icon in _ROUND_THE_NECK:
        return Placed(item, body.x, body.foot - (31.8 - 26) * unit, body.size * 0.36, shadow=False)
    crown = body.foot - (31.8 - figure.top(body.item.icon, 0.5)) * unit
    return Placed(item, body.x, crown + 2.2 * unit, body.size * 0.36, shadow=False)


def _of_animal(body: Placed, item: Item) -> list[Placed]:
    """Return the things that an animal in profile wears, or has in front or below."""
    size, x, foot = body.size, body.x, body.foot
    if item.relation == "wear":
        share, sideways = _head(body.item.icon)
        _, _, _, bottom = figure.box(body.item.icon)
        crown = foot - size * (bottom - figure.top(body.item.icon, share)) / _ICON
        return [Placed(item, x - sideways * size, crown + size * 0.08, size * 0.34, shadow=False)]
    each = size * 0.5 / item.count**0.4
    return [
        Placed(item, x - size * (0.33 + 0.22 * number), foot - size * 0.02, each, shadow=False)
        for number in range(item.count)
    ]


def _head(icon: str) -> tuple[float, float]:
    """Return the position of an icon's head along its width, and its distance from the center.

    Animals are in profile and face left; most other icons are symmetrical.
    """
    left, _, right, _ = figure.box(icon)
    raised = figure.top(icon, 0.5) - figure.top(icon, 0.25)
    if raised < 1.5:  # noqa: PLR2004  no distinct head on the left
        return 0.5, 0.0
    return 0.25, 0.25 * (right - left) / _ICON
