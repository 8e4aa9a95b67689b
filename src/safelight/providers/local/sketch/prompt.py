"""Parses a prompt: things, counts, colors, relations, places and weather. Pure."""

from dataclasses import dataclass, field, replace

from safelight.providers.local.sketch import vocabulary
from safelight.providers.local.sketch.vocabulary import Meaning

MAX_ITEMS = 6
MAX_DRAWN = 24
_SCENE_KINDS = ("place", "time", "weather")
_ACTIONS = frozenset({"play", "hold", "eat", "wear", "ride"})
_SEVERAL = 3  # the count of a plural without a number
# Their icons are heads; these figures have bodies.
_FIGURES = {
    "woman": "woman-standing",
    "man": "man-standing",
    "person": "person-standing",
}
_WORN = frozenset(
    {"top-hat", "billed-cap", "womans-hat", "crown", "graduation-cap", "glasses", "sunglasses"}
    | {"scarf", "military-helmet", "rescue-workers-helmet", "headphone", "goggles"}
)
_WITHOUT_EFFECT = frozenset({"style", "ignored"})
_CONTENT = frozenset({"icon", "color", "place", "time", "weather", "unknown"})
_MOST_MISSED, _LONGEST_MISSED = 20, 40
_AT_SEA = frozenset(
    {"sailboat", "ship", "speedboat", "motor-boat", "passenger-ship", "ferry", "canoe"}
)
_UNDER_WATER = frozenset(
    {"fish", "tropical-fish", "blowfish", "shark", "octopus", "squid", "jellyfish", "coral"}
)


@dataclass(frozen=True, slots=True)
class Item:
    """A thing to draw. `relation` is its relation to the item before it."""

    icon: str
    count: int = 1
    color: str | None = None
    tone: str | None = None
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """The contents of a prompt. Places, times and weathers are in the order they were named."""

    items: tuple[Item, ...] = ()
    places: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    weathers: tuple[str, ...] = ()
    background: str | None = None
    colors: tuple[str, ...] = ()  # colors named without a thing
    unrecognized: tuple[str, ...] = ()  # words that change nothing in the picture

    def words(self) -> list[str]:
        """Return the recognized things, in words."""
        shown: list[str] = []
        for item in self.items:
            parts = (str(item.count) if item.count > 1 else "", item.tone or "", item.color or "")
            name = item.icon.removesuffix("-standing").removeprefix("person-").replace("-", " ")
            shown.append(" ".join([*(part for part in parts if part), name]))
        return [*shown, *self.places, *self.times, *self.weathers]


@dataclass(slots=True)
class _Reader:
    items: list[Item] = field(default_factory=list[Item])
    scene: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in _SCENE_KINDS})
    background: str | None = None
    colors: list[str] = field(default_factory=list[str])
    color: str | None = None
    tone: str | None = None
    count: int = 1
    relation: str | None = None
    in_scene: bool = False  # the last word was a place, a time or the weather
    excluding: bool = False
    excluded: set[str] = field(default_factory=set[str])
    missed: list[str] = field(default_factory=list[str])

    def take(self, meaning: Meaning | None) -> None:
        if meaning is None:
            self.excluding = False
            self._relate_backwards()
            self._forget()
        elif meaning.kind == "icon":
            self._take_icon(meaning)
        elif meaning.kind in _SCENE_KINDS:
            self._take_scene(meaning)
        else:
            self._take_quality(meaning)

    def _take_quality(self, meaning: Meaning) -> None:
        match meaning.kind:
            case "color":
                self._take_color(meaning.value)
            case "tone":
                self.tone = meaning.value
            case "count":
                self.count = int(meaning.value)
            case "relation":
                after_scene = self.in_scene and meaning.value == "hold"
                self.relation = "beside" if after_scene else meaning.value
            case "not":
                self.excluding = True
            case "background":
                self.background = self.color or self.background
                self.color = None
            case "unknown" if meaning.value.isdecimal():
                self.count = max(1, min(int(meaning.value[:4]), MAX_DRAWN))
            case _:
                pass  # a word without effect

    def _relate_backwards(self) -> None:
        """Give a relation that nothing follows to what came before, as in Japanese."""
        if self.relation not in _ACTIONS or len(self.items) < 2:  # noqa: PLR2004
            return
        if self.items[-1].relation in (None, "beside"):
            self.items[-1] = replace(self.items[-1], relation=self.relation)

    def _take_icon(self, meaning: Meaning) -> None:
        self.in_scene = False
        icon = _FIGURES.get(meaning.value, meaning.value)
        if meaning.plural and self.count == 1:
            self.count = _SEVERAL
        if self.excluding:
            self.excluded.add(icon)
            self.excluding = False
            self._forget()
            return
        known = [number for number, item in enumerate(self.items) if item.icon == icon]
        if known and self.color in (None, self.items[known[0]].color):
            self._forget()
            return
        if len(self.items) < MAX_ITEMS:
            worn = self.relation == "hold" and icon in _WORN
            relation = "wear" if worn else self.relation
            self.items.append(Item(icon, self.count, self.color, self.tone, relation))
        else:
            self.missed.append(meaning.phrase)
        self._forget()

    def _take_color(self, color: str) -> None:
        if self.color is None:
            self.color = color
        else:
            self.colors.append(color)  # of two colors for a thing, the first is its own

    def _take_scene(self, meaning: Meaning) -> None:
        if self.excluding:
            self.excluding = False
            return
        values = self.scene[meaning.kind]
        if meaning.value not in values:
            values.append(meaning.value)
        self.in_scene = True
        self._forget()

    def _forget(self) -> None:
        if self.color:
            self.colors.append(self.color)
        self.color = self.tone = self.relation = None
        self.count = 1


def read(prompt: str, negative: str = "") -> Scene:
    """Parse `prompt`, without what `negative` names."""
    reader = _Reader()
    for meaning in _qualities_first(_with_effect(vocabulary.read(prompt), reader.missed)):
        reader.take(meaning)
    reader.take(None)
    named = {meaning.value for meaning in vocabulary.read(negative) if meaning}
    unwanted = named | {_FIGURES.get(name, name) for name in named} | reader.excluded
    used = {item.color for item in reader.items}
    kept = _within(tuple(item for item in reader.items if item.icon not in unwanted))
    return Scene(
        items=kept,
        places=_places(reader.scene["place"], kept, unwanted),
        times=tuple(time for time in reader.scene["time"] if time not in unwanted),
        weathers=tuple(one for one in reader.scene["weather"] if one not in unwanted),
        background=reader.background,
        colors=tuple(dict.fromkeys(one for one in reader.colors if one not in used)),
        unrecognized=tuple(dict.fromkeys(one[:_LONGEST_MISSED] for one in reader.missed))[
            :_MOST_MISSED
        ],
    )


def _with_effect(meanings: list[Meaning | None], missed: list[str]) -> list[Meaning | None]:
    """Return the meanings that can be drawn; the phrases of all others go to `missed`.

    A style is never a thing: neither the words after "in the style of", up to a pause or the next
    relation, nor the word before "style".
    """
    kept: list[Meaning | None] = []
    in_style = False
    for meaning in meanings:
        if meaning is None or meaning.kind == "relation":
            in_style = False
            kept.append(meaning)
        elif meaning.kind == "style_of":
            in_style = True
        elif meaning.kind == "styled":
            if kept and (last := kept[-1]) is not None and last.kind == "icon":
                missed.append(last.phrase)
                kept.pop()
        elif meaning.kind in _WITHOUT_EFFECT or (in_style and meaning.kind in _CONTENT):
            missed.append(meaning.phrase)
        else:
            if _is_unknown_word(meaning):
                missed.append(meaning.phrase)
            kept.append(meaning)
    return kept


def _is_unknown_word(meaning: Meaning) -> bool:
    """Return whether a word is unknown; a single letter is rather an ending that was cut off."""
    return meaning.kind == "unknown" and len(meaning.phrase) > 1


def _qualities_first(meanings: list[Meaning | None]) -> list[Meaning | None]:
    """Put a color that follows its noun, as in Spanish, and a count, as in Thai, before it."""
    ordered = [meaning for meaning in meanings if meaning is None or meaning.kind != "stop"]
    for at in range(1, len(ordered)):
        noun, quality = ordered[at - 1], ordered[at]
        after = ordered[at + 1] if at + 1 < len(ordered) else None
        if not noun or not quality or noun.kind != "icon":
            continue
        if quality.kind == "count" and (after is None or after.kind not in ("icon", "color")):
            ordered[at - 1], ordered[at] = quality, noun
        if quality.kind != "color":
            continue
        before = ordered[at - 2] if at > 1 else None
        has_own = before is not None and before.kind == "color"
        if not has_own and (after is None or after.kind not in ("icon", "color", "background")):
            ordered[at - 1], ordered[at] = quality, noun
    return ordered


def _places(named: list[str], items: tuple[Item, ...], unwanted: set[str]) -> tuple[str, ...]:
    """Return the places named; if there are none, water for things that live there."""
    places = tuple(place for place in named if place not in unwanted)
    icons = {item.icon for item in items}
    if places or not icons:
        return places
    if icons & _AT_SEA:
        return ("sea",)
    return ("underwater",) if icons <= _UNDER_WATER else ()


def _within(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Limit the total number of icons."""
    left = MAX_DRAWN
    kept: list[Item] = []
    for item in items:
        count = min(item.count, left)
        if count:
            kept.append(replace(item, count=count))
            left -= count
    return tuple(kept)
