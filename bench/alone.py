"""Safelight alone on SQLite: submits, starts and no-op jobs, against the limit of the disk."""

from bench import jobs, limit
from bench.server import running_server
from bench.sizes import Sizes
from bench.table import Row


async def alone(sizes: Sizes) -> dict[str, list[Row]]:
    """Return one table a question, by its title."""
    with running_server() as server:
        async with server.client() as client:
            await jobs.warm_up(client)
            tables: dict[str, list[Row]] = {
                "Submit, one at a time (POST /v1/generate to 202)": [
                    await jobs.idle(client, sizes.jobs // 8)
                ],
                "Submit at a fixed rate": [
                    await jobs.at_rate(client, rate, sizes.rate_s) for rate in (50, 100, 200)
                ],
                "Idle: submit to start, by the database's clock": [
                    await jobs.start_delay(client, sizes.jobs // 20)
                ],
                "No-op jobs, all due at once": [await jobs.drain(client, sizes.jobs)],
            }
        size = server.memory_mib()
        tables["The physical limit: bare SQLite, one row and one synced commit"] = [
            limit.commits(server.data_dir, 500)
        ]
    tables["The server at the end"] = [{"resident memory MiB": size}]
    return tables
