"""Builds the pictures and words that the `sketch` provider draws with from two npm packages.

Run `python scripts/build_sketch_data.py NODE_MODULES OUT`; the same packages give the same bytes.

- `icons.zip`: one SVG body an icon, each compressed by itself, so that drawing a cat reads a cat.
- `icons.json.gz`: of each icon its name in English, group, subgroup and height.
- `words-LANGUAGE.json.gz`: which icon a word means, with the words that say little kept apart.
- `NOTICE.txt`: the licences of both packages.
"""

import gzip
import json
import re
import sys
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ICONS = "@iconify-json/fluent-emoji"
_WORDS = "emojibase-data"
_SMILEYS, _PEOPLE, _TAGGED_LAST = 0, 1, 1
_GROUPS = {0, 1, 3, 4, 5, 6, 7}  # not skin tones (2), signs (8) and flags (9)
_BODY_PARTS_AND_PEOPLE = range(22, 30)  # subgroups of people that stand for somebody by themselves
_GESTURES, _CLOCKS = 24, 58
_FEW_PICTURES = 3  # a keyword that more pictures share says too little
_BODY_CHARS = 100_000
_PHRASE_CHARS, _PHRASE_WORDS = 40, 5
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_COORDINATE = re.compile(r"(\.\d{2})\d+")
_MICROSOFT_LICENSE = """\
MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy
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
SOFTWARE.
"""
# The two packages call these by different names.
_RENAMED = {
    "black-bird": "blackbird",
    "phoenix": "phoenix-bird",
    "superhero": "person-superhero",
    "supervillain": "person-supervillain",
    "mage": "person-mage",
    "fairy": "person-fairy",
    "vampire": "person-vampire",
    "mermaid": "woman-merpeople",
    "merman": "man-merpeople",
    "merperson": "person-merpeople",
    "elf": "person-elf",
    "genie": "person-genie",
    "zombie": "person-zombie",
    "enraged-face": "pouting-face",
    "smiling-face-with-open-hands": "hugging-face",
    "woman-s-clothes": "womans-clothes",
    "man-s-shoe": "mans-shoe",
    "woman-s-sandal": "womans-sandal",
    "woman-s-boot": "womans-boot",
    "woman-s-hat": "womans-hat",
    "rescue-worker-s-helmet": "rescue-workers-helmet",
    "pi-ata": "piata",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An icon that is kept, and the code by which the word lists know it."""

    icon: str
    code: str
    label: str
    group: int
    subgroup: int


def main(node_modules: Path, out: Path) -> None:
    icons = _read(node_modules / _ICONS / "icons.json")["icons"]
    out.mkdir(parents=True, exist_ok=True)
    pictures = list(_choose(icons, _read(node_modules / _WORDS / "en" / "data.json")))
    _write_icons(out / "icons.zip", icons, pictures)
    shape = {
        picture.icon: [
            picture.label,
            picture.group,
            picture.subgroup,
            icons[picture.icon].get("height", 32),
        ]
        for picture in pictures
    }
    _write_json(out / "icons.json.gz", shape)
    for data in sorted((node_modules / _WORDS).glob("*/data.json")):
        words = _words(_read(data), pictures)
        _write_json(out / f"words-{data.parent.name}.json.gz", words)
    _write_notice(out / "NOTICE.txt", node_modules)
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{len(pictures)} icons, {size / 2**20:.1f} MiB in {out}")


def _choose(icons: Mapping[str, Any], entries: list[dict[str, Any]]) -> Iterator[Picture]:
    for entry in sorted(entries, key=lambda entry: entry.get("order", 0)):
        group, subgroup = entry.get("group"), entry.get("subgroup")
        name = re.sub(r"[^a-z0-9]+", "-", entry["label"].lower()).strip("-")
        icon = _RENAMED.get(name, name)
        kept = group in _GROUPS and icon in icons and subgroup not in {_GESTURES, _CLOCKS}
        if group == _PEOPLE and subgroup not in _BODY_PARTS_AND_PEOPLE:
            kept = False
        if kept and len(icons[icon]["body"]) <= _BODY_CHARS:
            yield Picture(icon, entry["hexcode"], entry["label"], group, subgroup)


def _write_icons(path: Path, icons: Mapping[str, Any], pictures: Iterable[Picture]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for picture in pictures:
            body = _shorten(icons[picture.icon]["body"])
            archive.writestr(zipfile.ZipInfo(picture.icon, _ZIP_TIME), body, zipfile.ZIP_DEFLATED)


def _shorten(body: str) -> str:
    """Return the body with coordinates to a hundredth of its 32 units and short names."""
    body = re.sub(r' d="[^"]*"', lambda path: _COORDINATE.sub(r"\1", path[0]), body)
    names: dict[str, str] = {}
    for found in re.findall(r'\bid="([^"]+)"', body):
        names.setdefault(found, f"i{len(names)}")
    body = re.sub(r'\bid="([^"]+)"', lambda name: f'id="{names[name[1]]}"', body)
    body = re.sub(r"url\(#([^)]+)\)", lambda name: f"url(#{names[name[1]]})", body)
    return re.sub(r'href="#([^"]+)"', lambda name: f'href="#{names[name[1]]}"', body)


def _words(entries: list[dict[str, Any]], pictures: list[Picture]) -> dict[str, dict[str, str]]:
    """Return what words mean: `sure` ones name a picture, `vague` ones only hint at it."""
    known = {picture.code: picture for picture in pictures}
    labels: dict[str, Picture] = {}
    tags: dict[str, list[Picture]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.get("order", 0)):
        picture = known.get(entry["hexcode"])
        if picture is None:
            continue
        for label in _spoken(entry["label"]):
            labels.setdefault(label, picture)
        for tag in dict.fromkeys(word for raw in entry.get("tags", []) for word in _spoken(raw)):
            tags[tag].append(picture)
    sure = {word: picture.icon for word, picture in labels.items()}
    vague: dict[str, str] = {}
    for tag, meant in tags.items():
        if tag in sure:
            continue
        things = [picture for picture in meant if picture.group > _TAGGED_LAST]
        best = (things or meant)[0].icon
        (sure if things and len(things) <= _FEW_PICTURES else vague)[tag] = best
    return {"sure": dict(sorted(sure.items())), "vague": dict(sorted(vague.items()))}


def _spoken(raw: str) -> Iterator[str]:
    """Yield a label in the spelling that prompts are folded to: no case, accents or signs."""
    spread = unicodedata.normalize("NFKD", re.sub(r"\(.*?\)", "", raw).casefold())
    plain = "".join(char for char in spread if not _is_accent(char))
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", plain))
    text = " ".join(words)
    if text and len(text) <= _PHRASE_CHARS and len(words) <= _PHRASE_WORDS:
        yield text


def _is_accent(char: str) -> bool:
    return "\u0300" <= char <= "\u036f"


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _write_notice(path: Path, node_modules: Path) -> None:
    icons = _read(node_modules / _ICONS / "info.json")
    if icons["license"]["spdx"] != "MIT":
        raise SystemExit(f"{_ICONS} is no longer under the MIT licence.")
    words = (node_modules / _WORDS / "LICENSE").read_text()
    author = f"{icons['name']} by {icons['author']['name']}, {icons['author']['url']}"
    path.write_text(
        f"icons.zip: {author}\n(npm package {_ICONS})\n\n{_MICROSOFT_LICENSE}\n\n"
        f"words-*.json.gz: npm package {_WORDS}\n\n{words}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: build_sketch_data.py NODE_MODULES_DIR OUT_DIR")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
