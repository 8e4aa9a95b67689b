"""Reads every row of an installation into files of JSON lines, and writes them back.

What is only of the moment stays behind: who is unwell, how fast a provider may be started at.
"""

import base64
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Column, Connection, Table

from safelight.assets import store as asset_store
from safelight.db.tables import accounts, asset_numbers, assets, breakers, metadata, start_rates
from safelight.db.types import Instant

_AT_ONCE = 500
_OF_THE_MOMENT = frozenset({breakers.name, start_rates.name})


def kept_tables() -> list[Table]:
    """Return the tables in an order in which rows never come before those that they refer to."""
    return [table for table in metadata.sorted_tables if table.name not in _OF_THE_MOMENT]


def dump(tx: Connection, folder: Path) -> dict[str, int]:
    """Write a file for each table, all of one moment; return how many rows each has."""
    return {str(table.name): _dump_table(tx, table, folder) for table in kept_tables()}


def is_empty(tx: Connection) -> bool:
    """Say whether nobody has used the database yet."""
    return tx.scalar(sa.select(accounts.c.id).limit(1)) is None


def load(tx: Connection, folder: Path) -> None:
    """Write all rows back, and what follows from them: the search index, the next numbers."""
    for table in kept_tables():
        for page in _pages(folder / file_name(table)):
            tx.execute(sa.insert(table), [_row_of(table, words) for words in page])
    for page in _pages(folder / file_name(assets)):
        asset_store.index_again(tx, [words["id"] for words in page])
    if tx.dialect.name == "postgresql":
        newest = sa.select(sa.func.coalesce(sa.func.max(assets.c.number), 0) + 1)
        tx.execute(sa.select(sa.func.setval(asset_numbers.name, newest.scalar_subquery(), False)))


def file_name(table: Table) -> str:
    return f"{table.name}.jsonl"


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as they stand there."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _dump_table(tx: Connection, table: Table, folder: Path) -> int:
    query = sa.select(table).execution_options(yield_per=_AT_ONCE)
    count = 0
    with (folder / file_name(table)).open("wb") as file:
        for row in tx.execute(query).mappings():
            words = {str(name): _word(value) for name, value in row.items()}
            file.write(orjson.dumps(words, option=orjson.OPT_UTC_Z) + b"\n")
            count += 1
    return count


def _word(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _pages(path: Path) -> Iterator[list[dict[str, Any]]]:
    rows: Iterable[dict[str, Any]] = lines(path)
    page: list[dict[str, Any]] = []
    for row in rows:
        page.append(row)
        if len(page) == _AT_ONCE:
            yield page
            page = []
    if page:
        yield page


def _row_of(table: Table, words: dict[str, Any]) -> dict[str, Any]:
    return {column.name: _value(column, words.get(column.name)) for column in table.columns}


def _value(column: Column[Any], word: Any) -> Any:
    if word is None:
        return None
    if isinstance(column.type, Instant):
        return datetime.fromisoformat(word)
    return base64.b64decode(word) if isinstance(column.type, sa.LargeBinary) else word
