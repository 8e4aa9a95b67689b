"""The physical limit: the throughput of the disk and of SQLite alone."""

import sqlite3
import time
from pathlib import Path

from bench.table import Row, latency


def commits(folder: Path, count: int) -> Row:
    """Insert `count` rows with one durable commit each, on the disk that the server used."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    took: list[float] = []
    began = time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (body) VALUES (?)", ("x" * 500,))
        connection.execute("COMMIT")
        took.append(time.perf_counter() - start)
    total = time.perf_counter() - began
    connection.close()
    return {"commits": count, **latency(took), "commits/s": count / total}
