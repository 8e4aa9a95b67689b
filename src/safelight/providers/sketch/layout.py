"""Decides where each thing stands and how large it is. Pure."""

from dataclasses import dataclass, replace

from safelight.providers.sketch import vocabulary
from safelight.providers.sketch.prompt import Item, Scene


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How large things are beside each other, as a share of the picture's shorter side.
_SMALL = _words(
    "mouse hamster butterfly bee ladybug lady-beetle ant snail spider bug lizard frog baby-chick "
    "tulip rose hibiscus sunflower mushroom apple banana cookie cupcake doughnut hot-beverage "
    "teacup-without-handle book key ring gem-stone candle worm cricket beetle fly mosquito"
)
_LARGE = _words(
    "elephant giraffe mammoth t-rex sauropod whale spouting-whale castle house house-with-garden "
    "airplane rocket ship sailboat locomotive bus dragon deciduous-tree evergreen-tree palm-tree "
    "hot-springs stadium mosque church tokyo-tower statue-of-liberty ferris-wheel"
)
_FLIES = _words(
    "airplane small-airplane helicopter bird dove eagle owl parrot bat butterfly bee honeybee "
    "balloon rocket flying-saucer crescent-moon full-moon sun star glowing-star cloud rainbow kite "
    "fairy person-fairy person-superhero woman-superhero parachute hot-air-balloon comet "
    "ringed-planet flying-disc ghost"
)
_SWIMS = _words(
    "fish tropical-fish blowfish shark dolphin whale spouting-whale octopus squid jellyfish crab "
    "lobster shrimp seal turtle coral sailboat speedboat canoe ship ferry motor-boat passenger-ship"
    " surfboard duck swan"
)
_PEOPLE = _words(
    "astronaut robot baby prince princess ninja guard detective santa-claus mrs-claus farmer cook "
    "student teacher judge artist singer pilot firefighter police-officer skier snowboarder troll"
)
_HEADS = _words("fox lion bear wolf panda koala frog polar-bear hamster unicorn raccoon boar")
_JOINING = frozenset({"play", "hold", "eat", "wear", "ride", "on", "over", "under", "in"})
_MOST_HELD = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """An icon on the picture: where its feet are, its height, and how it is turned. In pixels."""

    item: Item
    x: float
    foot: float
    size: float
    flipped: bool = False
    shadow: bool = True


def arrange(scene: Scene, width: int, height: int) -> list[Placed]:
    """Return everything to draw, back to front."""
    if not scene.items:
        return []
    side = min(width, height)
    bodies, air = _split(scene)
    slots = sum(item.count for item, _ in bodies)
    crowd = max(0.3, min(1.0, width / side * 1.25 / max(slots, 1) ** 0.72))
    groups: list[list[Placed]] = []
    for item, attached in bodies:
        for number in range(item.count):
            at = len(groups)
            size = min(side * 0.72 * crowd * _scale(item), _widest(item, width / slots))
            foot = max(_foot(item, scene, height, at), size + height * 0.04)
            flipped = bool(number % 2) or bool(attached)
            body = Placed(
                item, width * (at + 0.5) / slots, foot, size, flipped, foot > height * 0.8
            )
            groups.append(_group(body, attached if number == 0 else ()))
    groups.sort(key=lambda group: group[0].foot)
    far = [
        _in_the_air(item, at + number, width, height)
        for at, item in enumerate(air)
        for number in range(item.count)
    ]
    return far + [placed for group in groups for placed in group]


def _widest(item: Item, slot: float) -> float:
    """Return the size at which an icon fills its slot, with a little overlap allowed."""
    left, _, right, _ = vocabulary.box(item.icon)
    return slot * 0.98 * 32 / max(right - left, 1)


def _split(scene: Scene) -> tuple[list[tuple[Item, tuple[Item, ...]]], list[Item]]:
    """Return the things that stand, each with what it holds or rides, and those up in the air."""
    bodies: list[tuple[Item, tuple[Item, ...]]] = []
    air: list[Item] = []
    for item in scene.items:
        is_far = item.icon in _FLIES and item.relation in (None, "hold", "beside", "over", "under")
        joins = item.relation in _JOINING and item.count <= _MOST_HELD and not is_far
        if bodies and joins and bodies[-1][0].count == 1:
            bodies[-1] = _joined(bodies[-1], item)
        elif is_far and bodies:
            air.append(item)
        else:
            bodies.append((item, ()))
    return bodies, air


def _joined(body: tuple[Item, tuple[Item, ...]], item: Item) -> tuple[Item, tuple[Item, ...]]:
    """Add what a body holds or rides. People ride animals, whichever a language names first."""
    rider, attached = body
    if item.relation == "ride" and _is_person(item) and not _is_person(rider):
        return replace(item, relation=None), (*attached, replace(rider, relation="ride"))
    return rider, (*attached, item)


def _is_person(item: Item) -> bool:
    return item.icon in _PEOPLE or item.icon.startswith(("man", "woman", "person"))


def _scale(item: Item) -> float:
    if item.icon in _SMALL:
        return 0.62
    return 1.15 if item.icon in _LARGE else 1.0


def _foot(item: Item, scene: Scene, height: int, number: int) -> float:
    """Return where the feet are: on the ground, in the water, or in the air."""
    stagger = (number % 2) * height * 0.045
    afloat = {"underwater", "space"} & set(scene.places)
    if afloat:
        return height * (0.78 - 0.16 * (number % 2) - 0.07 * (number % 3))
    if item.icon in _FLIES and ("sky" in scene.places or item.count > 1):
        return height * (0.55 - 0.14 * (number % 3))
    if item.icon in _SWIMS and {"sea", "beach"} & set(scene.places):
        return height * (0.82 + 0.05 * (number % 2))
    return height * 0.9 - stagger


def _in_the_air(item: Item, number: int, width: int, height: int) -> Placed:
    places = ((0.24, 0.34), (0.76, 0.3), (0.5, 0.22), (0.12, 0.5))
    x, y = places[number % len(places)]
    size = min(width, height) * 0.24
    return Placed(item, width * x, height * y, size, shadow=False)


def _group(body: Placed, attached: tuple[Item, ...]) -> list[Placed]:
    """Return a thing with all that it rides, holds or wears, back to front."""
    group = [body]
    for item in attached:
        if item.relation in ("ride", "on", "in"):
            group = _mounted(group, item)
        elif item.relation == "under":
            group = [_overhead(body, item), *group]
        else:
            group += _attached(group[0], item)
    return group


def _mounted(riders: list[Placed], item: Item) -> list[Placed]:
    """Put riders on something: behind the back of an animal, before anything else."""
    first = riders[0]
    mount = Placed(item, first.x, first.foot, first.size * 0.78, shadow=first.shadow)
    outline = vocabulary.top(item.icon, 0.5)
    _, _, _, bottom = vocabulary.box(item.icon)
    back = mount.foot - mount.size * (bottom - outline) / 32
    sunk = 0.16 if item.relation == "ride" else 0.02
    seated = [
        replace(
            rider,
            foot=back + first.size * 0.6 * sunk - (first.foot - rider.foot) * 0.6,
            x=first.x + (rider.x - first.x) * 0.6,
            size=rider.size * 0.6,
            shadow=False,
        )
        for rider in riders
    ]
    return [mount, *seated] if item.relation == "on" else [*seated, mount]


def _overhead(body: Placed, item: Item) -> Placed:
    """Return what something is under: behind it and larger, such as a tree."""
    return Placed(item, body.x - body.size * 0.12, body.foot - body.size * 0.04, body.size * 1.2)


def _attached(body: Placed, item: Item) -> list[Placed]:
    """Return what a body wears, holds or is over."""
    size, x, foot = body.size, body.x, body.foot
    away = 1 if body.flipped else -1
    match item.relation:
        case "wear":
            share, sideways = _head(body.item.icon)
            _, _, _, bottom = vocabulary.box(body.item.icon)
            crown = foot - size * (bottom - vocabulary.top(body.item.icon, share)) / 32
            return [
                Placed(
                    item, x + away * sideways * size, crown + size * 0.1, size * 0.34, shadow=False
                )
            ]
        case "over":
            return [Placed(item, x, foot, size * 0.5)]
        case _:
            each = size * 0.56 / item.count**0.4
            return [
                Placed(
                    item,
                    x + away * size * (0.33 + 0.22 * number),
                    foot - size * 0.03,
                    each,
                    shadow=False,
                )
                for number in range(item.count)
            ]


def _head(icon: str) -> tuple[float, float]:
    """Return where along its width an icon's head is, and how far that is from its middle.

    Animals stand in profile and look to the left; most other icons are symmetrical.
    """
    left, _, right, _ = vocabulary.box(icon)
    raised = vocabulary.top(icon, 0.5) - vocabulary.top(icon, 0.25)
    if icon in _HEADS or raised < 1.5:  # noqa: PLR2004  none stands out on the left
        return 0.5, 0.0
    return 0.25, 0.25 * (right - left) / 32
