"""Latency of reads and speed of retention in a large database, SQLite and PostgreSQL."""

import time
from datetime import timedelta

from bench.components import Components
from bench.sizes import Sizes
from bench.table import Row, latency
from safelight.db.engine import Database, open_database
from safelight.db.migrate import migrate
from safelight.worker.upkeep import retention
from tests import grown

_KEPT = timedelta(days=1)


async def growth(ground: Components, sizes: Sizes) -> tuple[dict[str, list[Row]], str]:
    """Measure each read and each drain on both databases; return the tables, and the plans."""
    reads: list[Row] = []
    drains: list[Row] = []
    plans: list[str] = []
    for name, url in (
        ("PostgreSQL", ground.postgres.new_database()),
        ("SQLite", f"sqlite:///{ground.folder / 'growth.db'}"),
    ):
        database = open_database(url)
        try:
            await migrate(database)
            began = time.perf_counter()
            await grown.fill(database, sizes.grown)
            took = time.perf_counter() - began
            print(f"{name}: {sizes.grown:,} jobs ended, as many queued; {took:.0f} s", flush=True)
            for title, read in grown.reads(sizes.grown).items():
                found, plan = await _measure(database, read.work, sizes.searches)
                reads.append({"database": name, "read": title, **found})
                plans.append(f"===== {name}: {title} =====\n\n{plan}")
            for what, look in retention.looks(_KEPT, _KEPT).items():
                drains.append({"database": name, **await _drain(database, what, look, sizes)})
        finally:
            await database.close()
    size = f"{sizes.grown:,} ended and {sizes.grown:,} queued jobs"
    return {f"Reads at {size}": reads, f"Expired rows of {size}": drains}, "\n".join(plans)


async def _measure(database: Database, work: grown.Work, count: int) -> tuple[Row, str]:
    """Return how long a read takes, what it reads through, and its statements' plans."""
    is_sqlite = database.url.startswith("sqlite:")
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN (ANALYZE, BUFFERS)"
    plans = await database.read(lambda tx: grown.plans_of(tx, work, explain=explain))
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await database.read(work)
        took.append(time.perf_counter() - began)
    row = {
        "best ms": min(took) * 1000,  # other work on the machine lengthens the rest
        **latency(took),
        "by": ", ".join(sorted(grown.indexes_in(plans))),
        "reads whole": ", ".join(sorted(grown.read_whole(plans))),
    }
    return row, "\n\n".join(f"{statement.strip()}\n\n{plan}" for statement, plan in plans.items())


# --- drains ----------------------------------------------------------------------------------


async def _drain(
    database: Database, what: str, look: retention.Look, sizes: Sizes
) -> dict[str, float | int | str]:
    """Remove expired rows for a while, page by page, and return how many a second."""
    removed = pages = 0
    longest = 0.0
    mark: retention.Mark | None = None
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < sizes.drain_s:
        asked = time.perf_counter()
        swept = await database.write(lambda tx, mark=mark: look(tx, mark, retention.PAGE))
        longest = max(longest, time.perf_counter() - asked)
        removed, pages, mark = removed + swept.removed, pages + 1, swept.last
        if not swept.more:
            took = time.perf_counter() - began
            break
    return {
        "expired": what,
        "removed": removed,
        "rows/s": removed / took,
        "a page of": retention.PAGE,
        "longest page ms": longest * 1000,
    }
