"""Reads rows into files of JSON lines, and writes them back: all of them, or those of an account.

What is only of the moment stays behind: who is unwell, how fast a provider may be started at. Of an
account what has ended goes along, and nothing that opens a door: keys, secrets, addresses told.
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
from safelight.db.tables import (
    accounts,
    asset_numbers,
    assets,
    audit,
    batches,
    breakers,
    jobs,
    metadata,
    originals,
    start_rates,
    trash,
    variants,
)
from safelight.db.types import Instant

_AT_ONCE = 500
_SOME = "acc_"  # any account: which tables there are is the same for each
_OF_THE_MOMENT = frozenset({breakers.name, start_rates.name})


def kept_tables(account_id: str | None = None) -> list[Table]:
    """Return the tables in an order in which rows never come before those that they refer to.

    With an account those of which its own rows go along.
    """
    taken = {table.name for table in _of_account("")} if account_id else set[str]()
    return [
        table
        for table in metadata.sorted_tables
        if (table.name in taken if account_id else table.name not in _OF_THE_MOMENT)
    ]


def dump(tx: Connection, folder: Path, account_id: str | None) -> dict[str, int]:
    """Write a file for each table, all of one moment; return how many rows each has."""
    of_account = _of_account(account_id) if account_id else {}
    return {
        str(table.name): _dump_table(tx, table, folder, of_account.get(table))
        for table in kept_tables(account_id)
    }


def _of_account(account_id: str) -> dict[Table, sa.ColumnElement[bool]]:
    """Return which rows of which tables are an account's to take along."""
    own_assets = sa.select(assets.c.id).where(assets.c.account_id == account_id)
    ended = sa.select(batches.c.id).where(
        batches.c.account_id == account_id, batches.c.finished_at.is_not(None)
    )
    return {
        accounts: accounts.c.id == account_id,
        batches: batches.c.id.in_(ended),
        jobs: sa.and_(
            jobs.c.account_id == account_id,
            jobs.c.finished_at.is_not(None),
            sa.or_(jobs.c.batch_id.is_(None), jobs.c.batch_id.in_(ended)),
        ),
        assets: assets.c.account_id == account_id,
        variants: variants.c.asset_id.in_(own_assets),
        originals: originals.c.account_id == account_id,
        trash: trash.c.account_id == account_id,
        audit: audit.c.account_id == account_id,
    }


def is_empty(tx: Connection) -> bool:
    """Say whether nobody has used the database yet."""
    return tx.scalar(sa.select(accounts.c.id).limit(1)) is None


def is_there(tx: Connection, account_id: str) -> bool:
    """Say whether there is an account of that id."""
    return tx.scalar(sa.select(accounts.c.id).where(accounts.c.id == account_id)) is not None


def foreign(tx: Connection, folder: Path) -> str | None:
    """Return an id or key of rows in `folder` that something here has already, if there is one."""
    unique = (jobs.c.id, batches.c.id, assets.c.id, assets.c.key, assets.c.original_key)
    for column in (*unique, variants.c.key, originals.c.key):
        for page in _pages(folder / file_name(column.table)):
            values = [words[column.name] for words in page if words[column.name]]
            query = sa.select(column).where(column.in_(values)).limit(1)
            if found := tx.scalar(query):
                return found
    return None


def load_account(tx: Connection, folder: Path) -> None:
    """Write an account's rows into an installation that has others."""
    for table in kept_tables(_SOME):
        for page in _pages(folder / file_name(table)):
            rows = [_row_of(table, words) for words in page]
            if table is assets:
                _fit(tx, rows)
            tx.execute(sa.insert(table), rows)
    for page in _pages(folder / file_name(assets)):
        asset_store.index_again(tx, [words["id"] for words in page])


def _fit(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Give assets the next numbers here; their jobs may have stayed behind."""
    wanted = {row["job_id"] for row in rows if row["job_id"]}
    there = set(tx.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(wanted))))
    for row, number in zip(rows, asset_store.next_numbers(tx, len(rows)), strict=True):
        row["number"] = number
        if row["job_id"] not in there:
            row["job_id"] = None


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


def _dump_table(
    tx: Connection, table: Table, folder: Path, match: sa.ColumnElement[bool] | None
) -> int:
    query = sa.select(table).execution_options(yield_per=_AT_ONCE)
    if match is not None:
        query = query.where(match)
    if table is assets:
        query = query.order_by(assets.c.number)
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
