"""Starts a server of its own, measures it, and prints one table a question."""

import asyncio
import os
import platform
import sqlite3
import sys
from pathlib import Path

from bench import jobs, limit
from bench.server import running_server
from bench.table import show


async def main() -> None:
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} cores, client and server on the same machine"
    )
    with running_server() as server:
        async with server.client() as client:
            await jobs.warm_up(client)
            show("Submit, one at a time (POST /v1/generate to 202)", [await jobs.idle(client, 300)])
            show(
                "Submit at a fixed rate",
                [await jobs.at_rate(client, rate, 5) for rate in (50, 100, 200)],
            )
            show(
                "Idle: submit to start, by the database's clock",
                [await jobs.start_delay(client, 100)],
            )
            show("No-op jobs, all due at once", [await jobs.drain(client, 2000)])
        size = server.memory_mib()
        show(
            "The physical limit: bare SQLite, one row and one synced commit",
            [limit.commits(server.data_dir, 500)],
        )
    print(f"\nServer's resident memory at the end: {size:.0f} MiB")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    asyncio.run(main())
