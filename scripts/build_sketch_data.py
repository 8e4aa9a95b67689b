"""Builds the pictures and word tables of the `sketch` provider from two npm packages.

    python scripts/build_sketch_data.py NODE_MODULES_DIR OUT_DIR

Reads `@iconify-json/fluent-emoji` and `emojibase-data` (both MIT) and writes `icons.zip` (one SVG
body an icon), `icons.json.gz` (what is known of each: box, outline, colour), `words.zip` (for each
language, which word means which icon, and for each emoji) and `NOTICE.txt`. The same packages give
the same bytes.
"""

import argparse
import colorsys
import gzip
import io
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
import pyvips
import resvg_py
from numpy.typing import NDArray

from safelight.providers.local.sketch import words

Pixels = NDArray[np.float64]

ICONS = "@iconify-json/fluent-emoji"
LABELS = "emojibase-data"
RENDER_PX = 64
COLUMNS = 16
MAX_WORDS = 4  # in one label
MAX_MEANINGS = 6  # a word that is on more icons than this says too little
EPOCH = (1980, 1, 1, 0, 0, 0)
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE."""

# Emoji whose icon has another name than its label.
RENAMED = {
    "mage": "person-mage",
    "fairy": "person-fairy",
    "vampire": "person-vampire",
    "elf": "person-elf",
    "genie": "person-genie",
    "zombie": "person-zombie",
    "superhero": "person-superhero",
    "supervillain": "person-supervillain",
    "merperson": "person-merpeople",
    "mermaid": "woman-merpeople",
    "merman": "man-merpeople",
    "phoenix": "phoenix-bird",
    "black-bird": "blackbird",
    "pi-ata": "piata",
    "backhand-index-pointing-right": "backhand-index-pointing-left",
}
# Groups of emojibase: 3 nature, 4 food, 5 places, 6 activities, 7 objects are taken whole, but for:
WHOLE_GROUPS = frozenset({3, 4, 5, 6, 7})
DROPPED = re.compile(
    r"-thirty$|-oclock$|^speaker-|^muted|^bell-with-slash|^chart-|-banknote$|-place-medal$"
    r"|^white-flower$|^(in|out)box|^envelope-with|^incoming|^mobile-phone-with|^red-envelope$"
    r"|^(spade|heart|diamond|club)-suit$|^joker$|^cigarette$|^x-ray$|^atm|^globe-with|^level-slider"
    r"|^cityscape|^night-with-stars|^sunrise|^sunset$|^foggy$|^fog$|^milky-way$|^shooting-star$"
)
# Of the others, those that show something to draw.
FACES = frozenset(
    [
        "smiling-face",
        "grinning-face-with-big-eyes",
        "winking-face",
        "smiling-face-with-sunglasses",
        "nerd-face",
        "crying-face",
        "angry-face",
        "sleeping-face",
        "partying-face",
        "cowboy-hat-face",
        "skull",
        "clown-face",
        "ogre",
        "goblin",
        "ghost",
        "alien",
        "alien-monster",
        "robot",
        "pile-of-poo",
        "red-heart",
        "broken-heart",
        "sparkling-heart",
        "heart-on-fire",
        "collision",
        "speech-balloon",
        "thought-balloon",
        "kiss-mark",
        "love-letter",
        "hole",
        "see-no-evil-monkey",
    ]
)
SIGNS = frozenset(
    [
        "radioactive",
        "yin-yang",
        "peace-symbol",
        "recycling-symbol",
        "infinity",
        "red-question-mark",
        "warning",
        "check-mark",
        "cross-mark",
        "trident-emblem",
        "fleur-de-lis",
        "pirate-flag",
        "rainbow-flag",
        "chequered-flag",
        "triangular-flag",
    ]
)
PEOPLE = re.compile(
    r"^(baby|child|boy|girl|older-person|old-man|old-woman|baby-angel|santa-claus|mrs-claus|troll"
    r"|(person|man|woman)|(person|man|woman)-(standing|walking|running|kneeling|biking|surfing"
    r"|swimming|rowing-boat|climbing|golfing|juggling|in-lotus-position|lifting-weights"
    r"|bouncing-ball|cartwheeling)|(man|woman)-dancing|person-(in-bed|taking-bath|fencing)"
    r"|ninja|guard|detective|prince|princess|person-with-crown|person-with-veil|person-in-tuxedo"
    r"|skier|snowboarder|(health|construction|factory|office)-worker|student|teacher|judge|farmer"
    r"|cook|mechanic|scientist|technologist|singer|artist|pilot|astronaut|firefighter"
    r"|police-officer|person-(mage|fairy|vampire|elf|genie|zombie|superhero|supervillain)"
    r"|(wo)?man-merpeople|woman-(mage|superhero|elf)|brain|tooth|bone|eye|eyes|ear|nose|mouth|foot"
    r"|flexed-biceps|footprints|waving-hand|thumbs-up|clapping-hands|people-hugging)$"
)


class Emoji(TypedDict):
    """One record of emojibase's data.json."""

    label: str
    hexcode: str
    group: NotRequired[int]
    tags: NotRequired[list[str]]


class Facts(TypedDict):
    """Facts about an icon that need no drawing; lengths are in its 32 units."""

    box: list[float]  # left, top, right, bottom of what is painted
    top: list[float]  # the upper outline, at COLUMNS places from left to right
    colour: str  # of its largest part
    hue: float | None  # 0..1 of the same, None where it is grey


def icon_name(label: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return RENAMED.get(name, name)


def is_wanted(name: str, group: int) -> bool:
    if group in WHOLE_GROUPS:
        return DROPPED.search(name) is None
    return name in FACES or name in SIGNS or PEOPLE.match(name) is not None


def compact(body: str) -> str:
    """Return the SVG with short coordinates and with ids that begin with `§`, to be made unique."""
    ids = {old: f"§{number:x}" for number, old in enumerate(re.findall(r'\bid="([^"]+)"', body))}
    body = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{ids[found[1]]}"', body)
    body = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids[found[1]]})", body)
    body = re.sub(r'href="#([^"]+)"', lambda found: f'href="#{ids[found[1]]}"', body)
    return re.sub(r'\bd="[^"]+"', lambda found: _shorten(found[0]), body)


def _shorten(path: str) -> str:
    return re.sub(r"\d*\.\d{3,}", lambda found: f"{float(found[0]):.2f}".lstrip("0"), path)


def render(body: str) -> Pixels:
    """Return the icon as RENDER_PX² straight RGBA, 0..1."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 32 32">{body.replace("§", "i")}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RENDER_PX, skip_system_fonts=True))
    return pyvips.Image.new_from_buffer(png, "").numpy().astype(np.float64) / 255


def facts(pixels: Pixels) -> Facts:
    painted = pixels[..., 3] > 0.3
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    unit = 32 / RENDER_PX
    left, right = int(columns[0]), int(columns[-1]) + 1
    places = np.linspace(left, right - 1, COLUMNS).round().astype(int)
    tops = [float(np.argmax(painted[:, place])) * unit for place in places]
    colour, hue = main_colour(pixels[painted][:, :3])
    return {
        "box": [left * unit, int(rows[0]) * unit, right * unit, (int(rows[-1]) + 1) * unit],
        "top": tops,
        "colour": colour,
        "hue": hue,
    }


def main_colour(points: Pixels) -> tuple[str, float | None]:
    """Return the mean colour of the largest part of one hue, or of all where little is coloured."""
    hls = np.array([colorsys.rgb_to_hls(*point) for point in points.tolist()])
    lively = (hls[:, 2] > 0.2) & (hls[:, 1] > 0.12) & (hls[:, 1] < 0.93)
    if lively.mean() < 0.22:
        body = points[(hls[:, 1] > 0.15)]
        return _hex(body.mean(axis=0) if len(body) else points.mean(axis=0)), None
    bins = (hls[:, 0] * 24).astype(int) % 24
    counts = np.bincount(bins[lively], minlength=24).astype(float)
    spread = counts + 0.7 * (np.roll(counts, 1) + np.roll(counts, -1))
    main = int(np.argmax(spread))
    near = lively & ((np.abs(((bins - main + 12) % 24) - 12)) <= 1)
    mean = points[near].mean(axis=0)
    return _hex(mean), round(colorsys.rgb_to_hls(*mean.tolist())[0], 3)


def _hex(colour: Pixels) -> str:
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in colour)


def word_table(emoji: Iterable[Emoji], icon_of: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return word -> icon for one language: by label, and by tags that say enough."""
    by_label: dict[str, str] = {}
    by_tag: defaultdict[str, list[str]] = defaultdict(list)
    for record in emoji:
        icon = icon_of.get(record["hexcode"])
        if icon is None:
            continue
        label = _key(record["label"])
        # A whole animal is better than its face, whichever comes first.
        if label and (label not in by_label or by_label[label].endswith("-face")):
            by_label[label] = icon
        for tag in record.get("tags", []):
            key = _key(tag)
            if key and icon not in by_tag[key]:
                by_tag[key].append(icon)
    table = {tag: _plainest(icons) for tag, icons in by_tag.items() if len(icons) <= MAX_MEANINGS}
    return {"labels": by_label, "tags": {word: table[word] for word in table.keys() - by_label}}


def emoji_table(english: Iterable[Emoji], icon_of: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return icon and label of each emoji; the icon is empty where there is none."""
    wanted = set(icon_of.values())
    table: dict[str, tuple[str, str]] = {}
    for record in english:
        name = icon_name(record["label"])
        # A woman astronaut is drawn as an astronaut.
        either = re.sub(r"^(woman|man)-", "", name)
        icon = icon_of.get(record["hexcode"]) or (either if either in wanted else "")
        emoji = "".join(chr(int(code, 16)) for code in record["hexcode"].split("-"))
        table[words.plain_emoji(emoji)] = icon, record["label"]
    return table


def _key(text: str) -> str:
    """Return the folded words, or nothing where there are too many: `Astronaut(in)`: astronaut."""
    parts = [word for word in words.split(re.sub(r"\(.*?\)", "", text)) if not words.is_pause(word)]
    return " ".join(parts) if len(parts) <= MAX_WORDS else ""


def _plainest(icons: list[str]) -> str:
    return min(icons, key=lambda icon: (icon.endswith("-face"), icon.count("-"), icons.index(icon)))


def write_zip(path: Path, entries: Mapping[str, str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(entries):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), entries[name], zipfile.ZIP_DEFLATED, 9)
    path.write_bytes(buffer.getvalue())


def notice(modules: Path) -> str:
    """Return the notices that the licences ask to pass on."""
    info = json.loads((modules / ICONS / "info.json").read_text())
    author, licence = info["author"], info["license"]
    icons = (
        f"{info['name']} ({ICONS} {_version(modules / ICONS)})\n{author['url']}\n"
        f"{licence['title']} License\n\nCopyright (c) {author['name']}.\n\n{MIT}\n"
    )
    labels = f"{LABELS} {_version(modules / LABELS)}\n" + (modules / LABELS / "LICENSE").read_text()
    return (
        "The pictures and word tables in this folder are made from the following packages.\n\n"
        f"{icons}\n{'-' * 80}\n\n{labels}"
    )


def _version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def build(modules: Path, out: Path) -> None:
    english: list[Emoji] = json.loads((modules / LABELS / "en" / "data.json").read_text())
    bodies = json.loads((modules / ICONS / "icons.json").read_text())["icons"]
    icon_of = {
        record["hexcode"]: name
        for record in english
        if (name := icon_name(record["label"])) in bodies
        and is_wanted(name, record.get("group", -1))
    }
    icons = {name: compact(bodies[name]["body"]) for name in sorted(set(icon_of.values()))}
    known = {name: facts(render(body)) for name, body in icons.items()}
    tables = {
        f"{folder.name}.json": json.dumps(
            word_table(json.loads((folder / "data.json").read_text()), icon_of),
            ensure_ascii=False,
            sort_keys=True,
        )
        for folder in sorted((modules / LABELS).iterdir())
        if (folder / "data.json").is_file()
    }
    tables["emoji.json"] = json.dumps(
        emoji_table(english, icon_of), ensure_ascii=False, sort_keys=True
    )
    out.mkdir(parents=True, exist_ok=True)
    write_zip(out / "icons.zip", icons)
    write_zip(out / "words.zip", tables)
    packed = gzip.compress(json.dumps(known, sort_keys=True).encode(), 9, mtime=0)
    (out / "icons.json.gz").write_bytes(packed)
    (out / "NOTICE.txt").write_text(notice(modules))
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{len(icons)} icons, {len(tables) - 1} languages, {size / 2**20:.1f} MiB in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", type=Path, help="a node_modules folder with both packages")
    parser.add_argument("out", type=Path, help="where the data goes")
    options = parser.parse_args()
    build(options.modules, options.out)


if __name__ == "__main__":
    main()
