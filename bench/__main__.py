"""Answers the questions that are named, or all of them, with one table each."""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.access import access
from bench.alone import alone
from bench.burst import burst
from bench.claims import claim_cost
from bench.components import Components, components
from bench.drain import drain
from bench.files import files
from bench.flight import in_flight
from bench.fullpath import full_path
from bench.growth import growth
from bench.inflation import conversion, inflation
from bench.ingest import ingest
from bench.library import library
from bench.models import models
from bench.pickup import pickup
from bench.reads import status_reads, streams
from bench.recovery import recovery
from bench.renditions import renditions
from bench.sizes import FULL, QUICK, SMOKE, Sizes
from bench.submit import submit_latency
from bench.table import Row, show
from bench.vendor import vendor

Answers = dict[str, list[Row]]  # tables by title


@dataclass(frozen=True, slots=True)
class Asked:
    """The benchmarks to run, their size, and the output file."""

    names: list[str]
    sizes: Sizes
    json: Path | None
    plans: Path | None


async def _alone(_: Components, asked: Asked) -> Answers:
    return await alone(asked.sizes)


async def _submit(ground: Components, asked: Asked) -> Answers:
    title = "Submit at a fixed rate, from when each was to be sent to its 202"
    return {title: await submit_latency(ground, asked.sizes)}


async def _pickup(ground: Components, asked: Asked) -> Answers:
    return {"Idle: submit sent to provider called": await pickup(ground, asked.sizes)}


async def _fullpath(ground: Components, asked: Asked) -> Answers:
    title = "Full path by HTTP, no-op provider, in turn and back"
    return {title: await full_path(ground, asked.sizes)}


async def _vendor(ground: Components, asked: Asked) -> Answers:
    title = "A worker that runs jobs at a vendor: CPU of its main process a job"
    return {title: await vendor(ground, asked.sizes)}


async def _drain(ground: Components, asked: Asked) -> Answers:
    return {"Drain of queued no-op jobs by one worker": await drain(ground, asked.sizes)}


async def _flight(ground: Components, asked: Asked) -> Answers:
    return {"Jobs in flight on one worker": await in_flight(ground, asked.sizes)}


async def _recovery(ground: Components, asked: Asked) -> Answers:
    return {"kill -9 of a worker": await recovery(ground, asked.sizes)}


async def _claims(ground: Components, asked: Asked) -> Answers:
    title = "Claim of 100 jobs and its commit, 2,001 accounts, one with 80 %"
    rows, plans = await claim_cost(ground, asked.sizes)
    if asked.plans:
        asked.plans.write_text(plans)
    return {title: rows}


async def _ingest(ground: Components, asked: Asked) -> Answers:
    return await ingest(ground, asked.sizes)


async def _burst(_: Components, asked: Asked) -> Answers:
    return {"CPU time of one account's pictures": await burst(asked.sizes)}


async def _library(ground: Components, asked: Asked) -> Answers:
    return {
        "Lists and searches of an account with 80 % of all assets": await library(
            ground, asked.sizes
        )
    }


async def _growth(ground: Components, asked: Asked) -> Answers:
    tables, plans = await growth(ground, asked.sizes)
    if asked.plans:
        asked.plans.write_text(plans)
    return tables


async def _files(_: Components, asked: Asked) -> Answers:
    title = "Kept files, 4 connections, client and server on the same two cores"
    return {title: await files(asked.sizes)}


async def _renditions(_: Components, asked: Asked) -> Answers:
    title = "WebP of 800 pixels from a JPEG of 12 megapixels, first requests"
    return {title: await renditions(asked.sizes)}


async def _status(ground: Components, asked: Asked) -> Answers:
    return {"Status of one job, read again and again": await status_reads(ground, asked.sizes)}


async def _streams(ground: Components, asked: Asked) -> Answers:
    title = "Status reads at a fixed rate beside open streams of running jobs"
    return {title: await streams(ground, asked.sizes)}


async def _access(ground: Components, _: Asked) -> Answers:
    return {"CPU of an authentication": await access(ground)}


async def _models(_: Components, asked: Asked) -> Answers:
    return {
        "Taking in a 3D model: facts, preview, thumb, turntable": await models(asked.sizes),
        "Pictures of 1024 x 1024 to 3D by `inflate`, one core": await inflation(asked.sizes),
        "One model in other formats": await conversion(asked.sizes),
    }


_QUESTIONS: dict[str, Callable[[Components, Asked], Awaitable[Answers]]] = {
    "alone": _alone,
    "submit": _submit,
    "pickup": _pickup,
    "fullpath": _fullpath,
    "vendor": _vendor,
    "drain": _drain,
    "flight": _flight,
    "recovery": _recovery,
    "claims": _claims,
    "ingest": _ingest,
    "burst": _burst,
    "library": _library,
    "growth": _growth,
    "models": _models,
    "files": _files,
    "renditions": _renditions,
    "status": _status,
    "streams": _streams,
    "access": _access,
}


async def main(asked: Asked) -> None:
    """Print each answer as soon as it is known; write all of them where a file is given."""
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    answers: dict[str, Answers] = {}
    with components() as ground:
        for name in asked.names:
            answers[name] = await _QUESTIONS[name](ground, asked)
            for title, rows in answers[name].items():
                show(title, rows)
            if asked.json:
                document = {"machine": machine, "answers": answers}
                asked.json.write_text(json.dumps(document, indent=2))


def _machine() -> dict[str, str | int]:
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "cores": os.cpu_count() or 1,
        "load before": f"{os.getloadavg()[0]:.2f}",
        "client and servers": "on the same machine",
    }


def _asked() -> Asked:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(_QUESTIONS)}; all where none is"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="tiny: does everything still run?")
    size.add_argument("--full", action="store_true", help="what docs/benchmarks.md reports")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument(
        "--plans", type=Path, help="write the plans of `claims` or `growth` to this file"
    )
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in _QUESTIONS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: choose from {', '.join(_QUESTIONS)}")
    sizes = SMOKE if given.smoke else FULL if given.full else QUICK
    return Asked(given.names or list(_QUESTIONS), sizes, given.json, given.plans)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(_asked()))
