"""Chooses the jobs to start next at a provider, fairly between accounts.

Walks the accounts with ready work by skip-scanning the partial index, first those after :after,
then those up to it; takes the best jobs of each account below its limit, one per account in turn,
so that one account's thousands never block another's single job. A closed account's limit is 0:
its jobs stay in the index and are passed over, so that suspending writes one row. The cost depends
on the slots and the page of accounts, not on the queue's length. Jobs whose `start_by` has passed
are left to the janitor, unless they did start and wait for a retry.
"""

from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight.db.types import Json

_ACCOUNTS_AT_ONCE = 128

_WALK = """
WITH RECURSIVE ahead(account_id) AS (
  SELECT (SELECT account_id FROM jobs
          WHERE ready AND lane = :lane AND provider = :provider AND account_id > :after
          ORDER BY account_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.account_id FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.provider = :provider
            AND j.account_id > ahead.account_id
          ORDER BY j.account_id LIMIT 1)
  FROM ahead WHERE ahead.account_id IS NOT NULL
), behind(account_id) AS (
  SELECT (SELECT account_id FROM jobs
          WHERE ready AND lane = :lane AND provider = :provider AND account_id <= :after
          ORDER BY account_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.account_id FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.provider = :provider
            AND j.account_id > behind.account_id AND j.account_id <= :after
          ORDER BY j.account_id LIMIT 1)
  FROM behind WHERE behind.account_id IS NOT NULL
), walked(account_id, lap) AS MATERIALIZED (
  SELECT account_id, 0 FROM ahead WHERE account_id IS NOT NULL
  UNION ALL
  SELECT account_id, 1 FROM behind WHERE account_id IS NOT NULL
  LIMIT :accounts
), capped(account_id, lap, cap) AS (
  SELECT account_id, lap, coalesce(
    (SELECT CASE WHEN suspended_at IS NULL AND deleted_at IS NULL THEN max_in_flight ELSE 0 END
     FROM accounts WHERE accounts.id = walked.account_id),
    CAST(:account_limit AS integer))
  FROM walked
), page(account_id, lap, room) AS MATERIALIZED (
  SELECT account_id, lap, room FROM (
    SELECT account_id, lap, CASE WHEN cap IS NULL THEN :slots ELSE cap - (
      SELECT count(*) FROM jobs
      WHERE status IN ('running', 'waiting') AND jobs.account_id = capped.account_id) END AS room
    FROM capped) rooms
  WHERE room > 0
)"""
_BEST = """
  SELECT id FROM jobs
  WHERE ready AND lane = :lane AND provider = :provider AND account_id = page.account_id
    AND (start_by IS NULL OR start_by >= {now} OR started_at IS NOT NULL)
  ORDER BY priority DESC, run_at
  LIMIT (SELECT {max}(1, :slots + 1 - count(*)) FROM page)
"""  # the most one account can get if every other gets at least one
_PICKED = {
    "postgresql": """picked(id, account_id, lap, turn) AS (
  SELECT taken.id, page.account_id, page.lap, taken.turn FROM page CROSS JOIN LATERAL (
    SELECT locked.id, row_number() OVER () AS turn
    FROM ({best} FOR UPDATE SKIP LOCKED) locked
  ) taken WHERE taken.turn <= page.room
)""",
    "sqlite": """ranked(id, account_id, lap, room, turn) AS (
  SELECT j.id, j.account_id, page.lap, page.room,
         row_number() OVER (PARTITION BY j.account_id ORDER BY j.priority DESC, j.run_at)
  FROM page JOIN jobs j ON j.id IN ({best})
), picked(id, account_id, lap, turn) AS (
  SELECT id, account_id, lap, turn FROM ranked WHERE turn <= room
)""",
}
# The last row gives the end of a full page of accounts, to continue from there.
_RESULT = """
SELECT id, account_id FROM (
  SELECT id, account_id FROM picked ORDER BY turn, lap, account_id LIMIT :slots) chosen
UNION ALL
SELECT NULL, account_id FROM (
  SELECT account_id FROM walked WHERE (SELECT count(*) FROM walked) = :accounts
  ORDER BY lap DESC, account_id DESC LIMIT 1) page_end
"""
_SPELLING = {
    "postgresql": {"now": "statement_timestamp()", "max": "greatest"},
    "sqlite": {"now": "now_us()", "max": "max"},
}
_NEXT = {
    dialect: sa.text(f"{_WALK}, {picked.format(best=_BEST.format(**spelling))} {_RESULT}")
    for (dialect, picked), spelling in zip(_PICKED.items(), _SPELLING.values(), strict=True)
}
_FOUND = """
WITH RECURSIVE found(provider) AS (
  SELECT (SELECT provider FROM jobs WHERE ready AND lane = :lane ORDER BY provider LIMIT 1)
  UNION ALL
  SELECT (SELECT j.provider FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.provider > found.provider
          ORDER BY j.provider LIMIT 1)
  FROM found WHERE found.provider IS NOT NULL
)
SELECT {list}(provider) FROM found WHERE provider IS NOT NULL
"""
_LIST = {"postgresql": "jsonb_agg", "sqlite": "json_group_array"}


@dataclass(frozen=True, slots=True)
class Turn:
    """The chosen jobs, and the account to continue from if there may be more."""

    job_ids: list[str]
    served: str | None  # the last account served
    page_end: str | None  # set if the page did not reach all accounts


@cache
def ready_providers(dialect: str) -> ColumnElement[list[str] | None]:
    """Return the scalar query for the providers with ready work in `:lane`; NULL for none."""
    query = _FOUND.format(list=_LIST[dialect])
    return sa.text(query).columns(providers=Json).scalar_subquery()


def providers(tx: Connection, lane: str) -> list[str]:
    """Return the providers with ready work in `lane`, sorted by name."""
    found = tx.scalar(sa.select(ready_providers(tx.dialect.name)), {"lane": lane})
    return sorted(found or [])


def next_jobs(
    tx: Connection, lane: str, provider: str, *, slots: int, after: str, account_limit: int | None
) -> Turn:
    """Lock and return up to `slots` ready jobs, round-robin over the accounts after `after`."""
    given = {
        "lane": lane,
        "provider": provider,
        "slots": slots,
        "after": after,
        "accounts": _ACCOUNTS_AT_ONCE,
        "account_limit": account_limit,
    }
    rows = tx.execute(_NEXT[tx.dialect.name], given).all()
    chosen = [row for row in rows if row.id is not None]
    end = [row.account_id for row in rows if row.id is None]
    return Turn(
        [row.id for row in chosen],
        chosen[-1].account_id if chosen else None,
        end[0] if end else None,
    )
