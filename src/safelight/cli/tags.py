"""Reads and writes the tags in one cell: separated by commas, or by semicolons or pipes."""

import re
from collections.abc import Iterable, Sequence

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_BY_COMMA = re.compile(r'(?:"(?:[^"]|"")*"|[^,])+')
_BY_OTHERS = re.compile(r'(?:"(?:[^"]|"")*"|[^;|])+')
_NEEDS_QUOTES = re.compile(r'[,;|"]')


def read_tags(cell: str) -> list[str]:
    """Return the tags of a cell. Commas belong to a tag in quotes or beside another separator."""
    bare = _QUOTED.sub("", cell)
    pattern = _BY_OTHERS if ";" in bare or "|" in bare else _BY_COMMA
    return [tag for part in pattern.findall(cell) if (tag := _unquoted(part.strip()))]


def all_tags(cells: Iterable[str]) -> list[str]:
    """Return the tags of several cells, such as options."""
    return [tag for cell in cells for tag in read_tags(cell)]


def write_tags(tags: Sequence[str]) -> str:
    """Return a cell that `read_tags` reads back."""
    return ";".join(
        '"{}"'.format(tag.replace('"', '""')) if _NEEDS_QUOTES.search(tag) else tag for tag in tags
    )


def _unquoted(text: str) -> str:
    is_quoted = _QUOTED.fullmatch(text) is not None
    return text[1:-1].replace('""', '"').strip() if is_quoted else text
