"""The search index: FTS5 on SQLite, GIN on PostgreSQL.

Words arrive tokenized and normalized (words.py), so the engines' own tokenizers are not used.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, TableValuedAlias, TextClause
from sqlalchemy.dialects.postgresql import TSVECTOR

from safelight.assets.index.terms import account as account_term
from safelight.assets.index.words import Clause, TextQuery
from safelight.db.json_rows import JsonRows

Terms = Sequence[Sequence[str]]

TABLE = sa.table("asset_search")
_ROWS = JsonRows(number=sa.BigInteger, account_id=sa.Text, words=sa.Text)
_MOST_POSITIONS = 256  # per word in a tsvector


@dataclass(frozen=True, slots=True)
class Entry:
    """An asset's entry in the index: its words in order, separated by spaces."""

    number: int
    account_id: str
    words: str


def add(tx: Connection, entries: Iterable[Entry]) -> None:
    """Add assets to the index."""
    native = _is_postgresql(tx)
    rows = [
        {
            "number": entry.number,
            "account_id": entry.account_id,
            "words": vector(entry.words) if native else entry.words,
        }
        for entry in entries
    ]
    if rows:
        tx.execute(_add_statement(tx.dialect.name), _ROWS.bind(tx, rows))


def remove(tx: Connection, numbers: Sequence[int]) -> None:
    """Remove assets from the index."""
    tx.execute(sa.delete(TABLE).where(number(tx).in_(list(numbers))))


def number(tx: Connection) -> ColumnElement[int]:
    """Return the index column with the asset numbers."""
    name = "number" if _is_postgresql(tx) else "rowid"
    return sa.literal_column(f"asset_search.{name}", sa.BigInteger)


def matches(tx: Connection, account_id: str, terms: Terms, text: TextQuery) -> TextClause:
    """Return the condition on the index: one term of each list, and the text query.

    On PostgreSQL the owner is a column, so that the planner knows its selectivity: as a term,
    shared by millions of assets, it would dominate a GIN lookup. FTS5 skips such terms cheaply.
    """
    if _is_postgresql(tx):
        # The cost depends on the words, so every query gets its own plan.
        tx.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
        wanted = _spell(terms, text, _as_tsquery, " & ", " | ", " & !")
        return sa.text(
            "asset_search.account_id = :owner"
            " AND asset_search.words @@ CAST(CAST(:wanted AS text) AS tsquery)"
        ).bindparams(owner=account_id, wanted=wanted)
    owned = [[account_term(account_id)], *terms]
    wanted = _spell(owned, text, _as_fts5, " AND ", " OR ", " NOT ")
    return sa.text("asset_search MATCH :wanted").bindparams(wanted=wanted)


def some(tx: Connection, account_id: str, terms: Terms, *, limit: int) -> list[int]:
    """Return the numbers of up to `limit` matching assets of the account, in any order."""
    if _is_postgresql(tx):
        # The planner overestimates the matches of many alternatives and would scan the table.
        for name in ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"):
            tx.execute(sa.text(f"SET LOCAL {name} = off"))
    query = (
        sa.select(number(tx)).select_from(TABLE).where(matches(tx, account_id, terms, TextQuery()))
    )
    return list(tx.scalars(query.limit(limit)))


def elements(tx: Connection, column: ColumnElement[Any]) -> TableValuedAlias:
    """Return the elements of a JSON list as a table with one column, `value`."""
    of = sa.func.jsonb_array_elements_text if _is_postgresql(tx) else sa.func.json_each
    return of(column).table_valued("value", joins_implicitly=True)


@cache
def _add_statement(dialect: str) -> sa.Insert:
    new = _ROWS.table(dialect)
    if dialect == "postgresql":
        words: ColumnElement[str] = sa.cast(new.c.words, TSVECTOR)
        values = {"number": new.c.number, "account_id": new.c.account_id, "words": words}
    else:
        values = {"rowid": new.c.number, "words": new.c.words}
    target = sa.table("asset_search", *map(sa.column, values))
    return sa.insert(target).from_select(list(values), sa.select(*values.values()))


def _is_postgresql(tx: Connection) -> bool:
    return tx.dialect.name == "postgresql"


def vector(words: str) -> str:
    """Format words as a tsvector: each once, with its positions."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words.split(), start=1):
        places.setdefault(word, []).append(place)
    return " ".join(
        f"'{word}':{','.join(map(str, found[:_MOST_POSITIONS]))}" for word, found in places.items()
    )


def _spell(
    terms: Terms,
    text: TextQuery,
    clause: Callable[[Clause], str],
    both: str,
    either: str,
    without: str,
) -> str:
    lists = [f"({either.join(clause(Clause((term,))) for term in each)})" for each in terms]
    query = both.join([*lists, *map(clause, text.wanted)])
    unwanted = either.join(map(clause, text.unwanted))
    if not unwanted:
        return query
    # FTS5 queries always start with the account; a tsquery may consist of negations only.
    return f"({query}){without}({unwanted})" if query else f"!({unwanted})"


def _as_tsquery(clause: Clause) -> str:
    quoted = [f"'{word}'" for word in clause.words]
    if clause.is_prefix:
        quoted[-1] += ":*"
    return f"({' <-> '.join(quoted)})"


def _as_fts5(clause: Clause) -> str:
    return f'"{" ".join(clause.words)}"' + ("*" if clause.is_prefix else "")
