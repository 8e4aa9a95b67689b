"""Dumps rows to JSON Lines files and loads them, for an installation or one account.

Transient state is omitted: breakers, start rates and throttles. An account's export contains only
ended work, and no credentials or recipients: keys, secrets, webhook endpoints, contacts, people.
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
    processes,
    start_rates,
    throttles,
    trash,
    variants,
)
from safelight.db.types import Instant
from safelight.json_object import JsonObject

_AT_ONCE = 500
_SOME = "acc_"  # any account: the tables are the same for all
_OF_THE_MOMENT = frozenset({breakers.name, processes.name, start_rates.name, throttles.name})


def kept_tables(account_id: str | None = None) -> list[Table]:
    """Return the tables in dependency order: referenced rows come first.

    With an account, only the tables that its export contains.
    """
    taken = {table.name for table in _of_account("")} if account_id else set[str]()
    return [
        table
        for table in metadata.sorted_tables
        if (table.name in taken if account_id else table.name not in _OF_THE_MOMENT)
    ]


def dump(tx: Connection, folder: Path, account_id: str | None) -> dict[str, int]:
    """Write a file for each table, in one snapshot; return the row counts."""
    of_account = _of_account(account_id) if account_id else {}
    return {
        str(table.name): _dump_table(tx, table, folder, of_account.get(table))
        for table in kept_tables(account_id)
    }


def _of_account(account_id: str) -> dict[Table, sa.ColumnElement[bool]]:
    """Return the condition on each table for an account's export."""
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
    """Return whether the database has no accounts yet."""
    return tx.scalar(sa.select(accounts.c.id).limit(1)) is None


def is_there(tx: Connection, account_id: str) -> bool:
    """Return whether the account exists."""
    return tx.scalar(sa.select(accounts.c.id).where(accounts.c.id == account_id)) is not None


def foreign(tx: Connection, folder: Path) -> str | None:
    """Return an id or key in `folder` that is already in use here, or None."""
    unique = (jobs.c.id, batches.c.id, assets.c.id, assets.c.key, assets.c.original_key)
    for column in (*unique, variants.c.key, originals.c.key):
        for page in _pages(folder / file_name(column.table)):
            values = [words[column.name] for words in page if words[column.name]]
            query = sa.select(column).where(column.in_(values)).limit(1)
            if found := tx.scalar(query):
                return found
    return None


def load_account(tx: Connection, folder: Path) -> None:
    """Insert an account's rows into an installation with other accounts."""
    for table in kept_tables(_SOME):
        for page in _pages(folder / file_name(table)):
            rows = [_row_of(table, words) for words in page]
            if table is assets:
                _fit(tx, rows)
            tx.execute(sa.insert(table), rows)
    for page in _pages(folder / file_name(assets)):
        asset_store.index_again(tx, [words["id"] for words in page])


def _fit(tx: Connection, rows: list[JsonObject]) -> None:
    """Renumber assets for this installation, and unlink jobs that were not exported."""
    wanted = {row["job_id"] for row in rows if row["job_id"]}
    there = set(tx.scalars(sa.select(jobs.c.id).where(jobs.c.id.in_(wanted))))
    for row, number in zip(rows, asset_store.next_numbers(tx, len(rows)), strict=True):
        row["number"] = number
        if row["job_id"] not in there:
            row["job_id"] = None


def load(tx: Connection, folder: Path) -> None:
    """Insert all rows, and rebuild the search index and the asset sequence."""
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


def lines(path: Path) -> Iterator[JsonObject]:
    """Yield the rows of a file, undecoded."""
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


def _pages(path: Path) -> Iterator[list[JsonObject]]:
    rows: Iterable[JsonObject] = lines(path)
    page: list[JsonObject] = []
    for row in rows:
        page.append(row)
        if len(page) == _AT_ONCE:
            yield page
            page = []
    if page:
        yield page


def _row_of(table: Table, words: JsonObject) -> JsonObject:
    return {column.name: _value(column, words.get(column.name)) for column in table.columns}


def _value(column: Column[Any], word: Any) -> Any:
    if word is None:
        return None
    if isinstance(column.type, Instant):
        return datetime.fromisoformat(word)
    return base64.b64decode(word) if isinstance(column.type, sa.LargeBinary) else word
