"""Reads a list of pictures to import, as text, CSV or JSON lines, into entries one by one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast
from urllib.parse import quote

import orjson

from safelight.cli.arguments import is_url
from safelight.cli.failure import BadUse
from safelight.cli.imports import report
from safelight.cli.imports.lines import STANDARD_INPUT, Line
from safelight.cli.imports.table import Record, read_records
from safelight.cli.tags import read_tags

URL_COLUMN = "url"
_MAX_URL = 4096
_MAX_METADATA_BYTES = 16_384
_MOST_NAMED = 12
# Controls, line separators and lone surrogates.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_KNOWN = ("external_id", "name", "tags", "metadata")


class Form(StrEnum):
    """How a list is written."""

    TXT = "txt"
    CSV = "csv"
    JSONL = "jsonl"


_FORMS = {
    ".csv": Form.CSV,
    ".tsv": Form.CSV,
    ".jsonl": Form.JSONL,
    ".ndjson": Form.JSONL,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a list. One with a `fault` cannot be sent."""

    line: int
    url: str
    external_id: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])
    fault: str = ""

    def wanted(self) -> str | dict[str, object]:
        """Return what `POST /v1/images` takes for it."""
        given = {
            "external_id": self.external_id,
            "name": self.name,
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
        }
        more = {name: value for name, value in given.items() if value}
        return {"url": self.url, **more} if more else self.url


def form_of(name: str, chosen: str | None) -> Form:
    """Return how the list `name` is written: as chosen, or as its ending says."""
    if chosen:
        try:
            return Form(chosen.lower())
        except ValueError:
            raise BadUse(f"--format is txt, csv or jsonl, not {chosen!r}.") from None
    if name == STANDARD_INPUT:
        return Form.TXT
    return _FORMS.get(Path(name).suffix.lower(), Form.TXT)


def read_entries(
    name: str, lines: Iterator[Line], form: Form, url_column: str = URL_COLUMN
) -> Iterator[Entry]:
    """Yield every entry of the list, those at fault too; raises if it is no list at all."""
    if form is Form.TXT:
        return _of_text(lines)
    if form is Form.JSONL:
        return _of_json(lines, url_column)
    return _of_table(name, lines, url_column)


def _of_text(lines: Iterator[Line]) -> Iterator[Entry]:
    for line in lines:
        text = line.text.strip()
        if line.fault:
            yield Entry(line.number, "", fault=line.fault)
        elif text and not text.startswith("#"):
            yield _entry(line.number, {URL_COLUMN: text})


# --- JSON lines ----------------------------------------------------------------------------------


def _of_json(lines: Iterator[Line], url_column: str) -> Iterator[Entry]:
    for line in lines:
        if line.fault:
            yield Entry(line.number, "", fault=line.fault)
        elif line.text.strip():
            yield _of_object(line, url_column)


def _of_object(line: Line, url_column: str) -> Entry:
    try:
        value = cast("object", orjson.loads(line.text))
    except orjson.JSONDecodeError as error:
        return Entry(line.number, "", fault=f"not JSON: {error.msg}")
    if isinstance(value, str):
        return _entry(line.number, {URL_COLUMN: value.strip()})
    if not isinstance(value, dict):
        return Entry(line.number, "", fault="neither an object nor an address")
    members = cast("dict[str, object]", value)
    address = members.pop(url_column, None)
    return _entry(line.number, {**members, URL_COLUMN: address})


# --- CSV -----------------------------------------------------------------------------------------


def _of_table(name: str, lines: Iterator[Line], url_column: str) -> Iterator[Entry]:
    records = read_records(lines)
    head = next(records, None)
    if head is None:
        return
    columns = _columns(name, head, url_column)
    is_report = tuple(columns) == report.COLUMNS
    for record in records:
        if record.fault:
            yield Entry(record.line, "", fault=f"not CSV: {record.fault}")
        elif len(record.cells) > len(columns) and any(record.cells[len(columns) :]):
            fault = f"{len(record.cells)} cells for {len(columns)} columns"
            yield Entry(record.line, "", fault=fault)
        else:
            cells = record.cells
            row = report.restored(cells) if is_report else dict(zip(columns, cells, strict=False))
            yield _entry(record.line, {column: cell.strip() for column, cell in row.items()})


def _columns(name: str, head: Record, url_column: str) -> list[str]:
    """Return the names of the columns, that of the addresses under its usual one."""
    if head.fault:
        raise BadUse(f"{name}: line {head.line}: not CSV: {head.fault}.")
    columns = [cell.strip() for cell in head.cells]
    folded = [column.casefold() for column in columns]
    wanted = url_column.strip().casefold()
    if wanted not in folded:
        shown = ", ".join(repr(column[:40]) for column in columns[:_MOST_NAMED])
        raise BadUse(
            f"{name} has no column {url_column!r}: its first line names {shown}. "
            "Choose the column of the addresses with --url-column."
        )
    place = folded.index(wanted)
    named = [
        URL_COLUMN if index == place else (known if known in _KNOWN else column)
        for index, (column, known) in enumerate(zip(columns, folded, strict=True))
    ]
    doubled = [column for column in dict.fromkeys(named) if column and named.count(column) > 1]
    if doubled:
        shown = ", ".join(repr(column[:40]) for column in doubled[:_MOST_NAMED])
        raise BadUse(f"{name}: the first line names {shown} more than once.")
    return named


# --- one entry -----------------------------------------------------------------------------------


def _entry(line: int, given: Mapping[str, object]) -> Entry:
    """Return the entry that `given` names; unknown fields become metadata."""
    url = given.get(URL_COLUMN)
    if not url:
        return Entry(line, "", fault="no url")
    if not isinstance(url, str) or not is_url(url):
        return Entry(line, str(url)[:_MAX_URL], fault="not an http or https address")
    if _UNFIT.search(url):
        return Entry(line, url[:_MAX_URL], fault="the url holds control characters")
    # As the server requests it; a terminal then shows no invisible letters either.
    url = "".join(letter if letter.isprintable() else quote(letter) for letter in url)
    if len(url) > _MAX_URL:
        return Entry(line, url[:_MAX_URL], fault=f"the url is longer than {_MAX_URL} characters")
    metadata, fault = _metadata(given)
    if fault:
        return Entry(line, url, fault=fault)
    return Entry(
        line,
        url,
        external_id=_text(given.get("external_id")),
        name=_text(given.get("name")),
        tags=_tags(given.get("tags")),
        metadata=metadata,
    )


def _metadata(given: Mapping[str, object]) -> tuple[dict[str, object], str]:
    """Return the metadata and what is wrong with it; a cell may hold them as a JSON object."""
    found = {
        name: value
        for name, value in given.items()
        if name and name not in (URL_COLUMN, *_KNOWN) and value not in ("", None)
    }
    whole = given.get("metadata")
    if isinstance(whole, str) and whole.startswith("{"):
        try:
            whole = cast("object", orjson.loads(whole))
        except orjson.JSONDecodeError as error:
            return {}, f"metadata is not JSON: {error.msg}"
    if isinstance(whole, dict):
        found |= cast("dict[str, object]", whole)
    elif whole:
        found["metadata"] = whole
    try:
        size = len(orjson.dumps(found))
    except TypeError as error:
        return {}, f"metadata is not plain JSON: {error}"
    is_small = size <= _MAX_METADATA_BYTES
    return found, "" if is_small else f"metadata is larger than {_MAX_METADATA_BYTES} bytes"


def _text(value: object) -> str:
    """Return an id or a name as text: lists often hold numbers there."""
    return "" if value is None else str(value)


def _tags(value: object) -> tuple[str, ...]:
    parts = read_tags(value) if isinstance(value, str) else value
    if not isinstance(parts, list):
        return () if parts is None else (str(parts),)
    return tuple(tag for part in cast("list[object]", parts) if (tag := str(part).strip()))
