"""Decides the position and size of each thing. Pure."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from safelight.providers.local.sketch import figure, holding, vocabulary
from safelight.providers.local.sketch.holding import Placed
from safelight.providers.local.sketch.prompt import Item, Scene


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FLIES = _words(
    "airplane small-airplane helicopter bird dove eagle owl parrot bat butterfly honeybee fly "
    "balloon rocket flying-saucer crescent-moon full-moon sun star glowing-star cloud rainbow kite "
    "phoenix-bird blackbird mosquito lady-beetle satellite sparkles fireworks "
    "person-fairy parachute comet ringed-planet flying-disc ghost globe-showing-europe-africa"
)
_SWIMS = _words(
    "fish tropical-fish blowfish shark dolphin whale spouting-whale octopus squid jellyfish seal "
    "turtle sailboat speedboat canoe ship ferry motor-boat passenger-ship duck swan"
)
_JOINING = frozenset({"play", "hold", "eat", "wear", "ride", "on", "under", "in"})
_AFLOAT = frozenset({"underwater", "space"})
_MOST_HELD = 3
_TALL = 0.74  # of the picture's shorter side, for a single thing
_TALL_BELOW = 0.6  # with something in the air above
_TALL_BEFORE = 0.5  # with something large behind
_EVEN = 0.72  # below 1 compresses sizes, so that a mouse is still visible
_LEAST = 0.24
_BACKDROP = 1.45  # things this large stand further back if there are smaller ones
_SCATTERED = 0.33  # several things this small are scattered in front
_MANY_COLORS = ("red", "yellow", "blue", "green", "orange", "purple", "pink", "teal")
_MARGIN = 0.035


@dataclass(frozen=True, slots=True)
class _Body:
    """A thing on the ground, with what it holds, wears or rides."""

    item: Item
    attached: tuple[Item, ...]
    size: float  # size relative to the others
    wide: float  # relative width in a row


@dataclass(frozen=True, slots=True)
class _Ground:
    """Area for bodies: its left and right share of the width, and their maximum height."""

    scene: Scene
    width: int
    height: int
    span: tuple[float, float]
    tall: float


def arrange(scene: Scene, width: int, height: int, random: Random) -> list[Placed]:
    """Return everything to draw, back to front."""
    groups, air = _split(scene)
    behind = [group for group in groups if _is_backdrop(group, groups)]
    small = [group for group in groups if _is_scattered(group, groups)]
    standing = [group for group in groups if group not in behind and group not in small]
    placed = _in_the_air(air, width, height, random)
    placed += _far(behind, width, height, alone=not standing)
    if standing:
        beside = len(behind) == 1 and _count(standing) <= 2  # noqa: PLR2004  leave room for it
        span = (_MARGIN, 0.68 if beside else 1 - _MARGIN)
        tall = _TALL_BEFORE if behind else _TALL_BELOW if air else _TALL
        ground = _Ground(scene, width, height, span, tall)
        placed += _stand(_bodies(standing), ground, random)
    return placed + _scattered(small, width, height, random)


_Group = tuple[Item, tuple[Item, ...]]


def _split(scene: Scene) -> tuple[list[_Group], list[Item]]:
    """Return the bodies, each with what it holds or rides, and the things in the air."""
    groups: list[_Group] = []
    air: list[Item] = []
    for item in scene.items:
        if _is_in_the_sky_anyway(item, scene):
            continue
        if item.relation in ("on", "in", "ride") and air and not groups:
            groups.append((air.pop(), ()))  # a sitting bird
        if item.relation == "over" and groups and not groups[-1][1]:
            air.append(groups.pop()[0])  # it flies over the present item
        joins = item.relation in _JOINING and item.count <= _MOST_HELD and bool(groups)
        lifted = item.icon in holding.OVERHEAD and item.relation == "hold"
        is_far = item.icon in _FLIES and item.relation not in ("ride", "on", "in", "eat", "wear")
        if joins and groups[-1][0].count == 1 and (lifted or not is_far):
            groups[-1] = _joined(groups[-1], item)
        elif is_far and (groups or len(scene.items) > 1):
            air.append(item)
        else:
            groups.append((item, ()))
    return (groups, air) if groups else ([(item, ()) for item in air[:1]], air[1:])


def _is_in_the_sky_anyway(item: Item, scene: Scene) -> bool:
    """Return whether the scenery draws it already: stars and moon at night, sun by day."""
    dark = "night" in scene.times or bool({"space", "moon"} & set(scene.places))
    if len(scene.items) == 1 or item.color:
        return False
    if item.icon == "star":
        return dark and item.count > 1
    if item.icon == "full-moon":
        return "night" in scene.times
    return item.icon == "sun" and not dark and bool(scene.places or scene.times)


def _joined(group: _Group, item: Item) -> _Group:
    """Add what a body holds or rides. People ride animals, in whichever order they are named."""
    rider, attached = group
    if item.relation == "ride" and figure.is_person(item.icon) and not figure.is_person(rider.icon):
        return replace(item, relation=None), (*attached, replace(rider, relation="ride"))
    return rider, (*attached, item)


def _is_backdrop(group: _Group, groups: list[_Group]) -> bool:
    item, attached = group
    smaller = any(_scale(other.icon) < 0.9 * _scale(item.icon) for other, _ in groups)
    still = item.icon not in _SWIMS and not figure.of(item.icon)
    grown = item.icon in ("dragon", "elephant", "mammoth", "t-rex", "sauropod", "giraffe")
    large = _scale(item.icon) >= _BACKDROP and not grown
    return large and smaller and still and not attached and item.count <= _MOST_HELD


def _is_scattered(group: _Group, groups: list[_Group]) -> bool:
    item, attached = group
    size = _scale(item.icon)
    is_small = size <= _SCATTERED and any(_scale(other.icon) > 1.5 * size for other, _ in groups)
    return is_small and item.count > 1 and not attached


def _scattered(groups: list[_Group], width: int, height: int, random: Random) -> list[Placed]:
    """Scatter flowers and other small things in front."""
    items = [item for item, _ in groups for _ in range(item.count)]
    side = min(width, height)
    spots = [
        (0.08 + 0.84 * (number + random.uniform(0.25, 0.75)) / len(items), number % 2)
        for number in range(len(items))
    ]
    return [
        Placed(item, width * x, height * (0.975 - 0.03 * row), side * 0.15, bool(row))
        for item, (x, row) in sorted(zip(items, spots, strict=True), key=lambda one: -one[1][1])
    ]


def _count(groups: list[_Group]) -> int:
    return sum(item.count for item, _ in groups)


def _far(groups: list[_Group], width: int, height: int, *, alone: bool) -> list[Placed]:
    """Place large things in the back, from right to left."""
    if alone:
        return []
    spots = ((0.72, 0.82), (0.2, 0.8), (0.46, 0.78), (0.9, 0.79), (0.06, 0.79), (0.58, 0.77))
    items = [item for item, _ in groups for _ in range(item.count)]
    side = min(width, height)
    return [
        Placed(item, width * x, height * y, side * (0.58 if len(items) < 3 else 0.44))  # noqa: PLR2004
        for item, (x, y) in zip(items, spots, strict=False)
    ]


def _bodies(groups: list[_Group]) -> list[_Body]:
    scales = [_group_scale(group) for group in groups]
    largest = max(scales)
    bodies: list[_Body] = []
    for (item, attached), scale in zip(groups, scales, strict=True):
        size = max(_LEAST, (scale / largest) ** _EVEN)
        left, _, right, _ = figure.box(item.icon)
        lifts = any(other.icon in holding.OVERHEAD for other in attached)
        wide = max((right - left) / 32, 0.45) + (0.4 if lifts else 0.1 if attached else 0)
        for number in range(item.count):
            own = item
            if item.color == "rainbow" and item.count > 1:
                own = replace(item, color=_MANY_COLORS[number % len(_MANY_COLORS)])
            bodies.append(_Body(own, attached if number == 0 else (), size, wide * size + 0.06))
    return bodies


def _group_scale(group: _Group) -> float:
    item, attached = group
    mounts = [_scale(other.icon) for other in attached if other.relation in ("ride", "on", "in")]
    return max([_scale(item.icon), *mounts])


def _stand(bodies: list[_Body], ground: _Ground, random: Random) -> list[Placed]:
    """Place bodies in rows, the front row last; rows further back are a little smaller."""
    width, height, span = ground.width, ground.height, ground.span
    reach = (span[1] - span[0]) * width
    number = _row_count(bodies, reach / height)
    rows = [bodies[at::number] for at in range(number)]
    widest = max(sum(body.wide for body in row) for row in rows)
    most = min(width, height * 1.3, height / number**0.55) * ground.tall
    base = min(most, reach / (widest + (0.5 if number > 1 else 0)))
    placed: list[Placed] = []
    for depth, row in enumerate(rows):
        free = reach - base * sum(body.wide for body in row)
        slack = min(free, 0.5 * base) if number > 1 else 0  # rows are staggered
        gap = (free - slack) / (len(row) + 1)
        x = span[0] * width + gap + slack * (depth % 2)
        for at, body in enumerate(row):
            x += base * body.wide / 2
            size = base * body.size * (1 if number - depth == 1 else 0.9)
            near = 1 - (number - 1 - depth) * (1 / number + 0.06 * (number > 2))  # noqa: PLR2004
            foot = _foot(body.item, ground.scene, height, near, at + depth)
            foot = max(foot + random.uniform(-0.008, 0.008) * height, size + height * 0.03)
            grounded = foot > height * 0.7 and not _AFLOAT & set(ground.scene.places)
            whole = Placed(body.item, x, foot, size, bool(at % 2), grounded)
            placed += holding.group(whole, body.attached)
            x += base * body.wide / 2 + gap
    return placed


def _row_count(bodies: list[_Body], shape: float) -> int:
    """Return the number of rows that makes things largest, for the aspect ratio `shape`."""
    total = sum(body.wide for body in bodies)
    return max(1, min(4, len(bodies), round(math.sqrt(total / shape / 1.5))))


@lru_cache(1)
def _sizes() -> dict[str, float]:
    lines = vocabulary.table_lines("sizes.txt")
    return {icon: float(size) for size, icons in lines for icon in icons.split()}


def _scale(icon: str) -> float:
    """Return the relative size of a thing; a person is 0.85."""
    return _sizes().get(icon, 0.85)


def _foot(item: Item, scene: Scene, height: int, near: float, number: int) -> float:
    """Return the height of the feet: on the ground, in the water, or in the air.

    `near` is 1 in the front row and smaller further back.
    """
    wave = (number % 2) * 0.045 + (number % 3) * 0.02
    if _AFLOAT & set(scene.places):
        return height * (0.2 + 0.62 * near - 2 * wave)
    if item.icon in _FLIES and (item.count > 1 or scene.places):
        return height * (0.16 + 0.5 * near - 1.6 * wave)
    if item.icon in _SWIMS and {"sea", "beach"} & set(scene.places):
        return height * (0.7 + 0.17 * near - wave)
    return height * (0.66 + 0.26 * near - wave * 0.5)


def _in_the_air(items: list[Item], width: int, height: int, random: Random) -> list[Placed]:
    each = [item for item in items for _ in range(item.count)]
    size = min(width, height) * 0.34 / max(1, len(each)) ** 0.35
    return [
        Placed(
            item,
            width * (0.1 + 0.8 * ((0.16 + number * 0.618) % 1)),
            height * (0.16 + 0.2 * ((0.3 + number * 0.41) % 1) + random.uniform(0, 0.02))
            + size / 2,
            size * (0.75 if _scale(item.icon) < 0.3 else 1),  # noqa: PLR2004  insects
            bool(number % 2),
            shadow=False,
        )
        for number, item in enumerate(each)
    ]
