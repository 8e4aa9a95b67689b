"""Every file of the corpus is told or refused rightly, in a child with the limits that serve."""

import resource
import site
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from safelight.cpu import CpuPool, Limits
from safelight.errors import SafelightError, restored
from safelight.media.facts import Facts, InspectRules
from safelight.media.pictures.ingest import take_in
from safelight.media.pictures.inspect import inspect
from tests import corpus
from tests.corpus import Case

RULES = InspectRules()
MEMORY = 512 * 2**20
LIMITS = Limits(cpu_s=5, memory_bytes=MEMORY, wall_s=60)
INGEST_LIMITS = Limits(cpu_s=30, memory_bytes=MEMORY, wall_s=90)
MODULES = [
    "safelight.media.pictures.decode",
    "safelight.media.pictures.render",
    "tests.integration.test_corpus",
]
HERE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Look:
    """The facts of a file or why it is refused, the CPU seconds and the bytes it took."""

    facts: Facts | None
    problem: dict[str, Any] | None
    cpu_s: float
    memory: int


def look(path: Path, *, ingest: bool) -> Look:
    """Take in or inspect a file."""
    began = _cpu()
    idle = _memory("VmRSS")
    facts, problem = None, None
    try:
        if ingest:
            folder = path.with_suffix(".made")
            folder.mkdir(exist_ok=True)
            facts = take_in(path, folder, RULES, serve=True).facts
        else:
            facts = inspect(path, RULES)
    except SafelightError as error:
        problem = error.problem()
    return Look(facts, problem, _cpu() - began, max(0, _memory("VmHWM") - idle))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


@pytest.fixture(scope="module")
def whole_corpus() -> Sequence[Case]:
    return corpus.cases([HERE / "node_modules", *map(Path, site.getsitepackages())])


@pytest.mark.parametrize("ingest", [False, True], ids=["inspect", "take_in"])
async def test_corpus_when_looked_at_then_each_is_told_or_refused_within_limits(
    ingest: bool, whole_corpus: Sequence[Case], tmp_path: Path
) -> None:
    assert len(whole_corpus) >= 120
    pool = CpuPool(1, modules=MODULES)
    wrong: list[str] = []
    try:
        for number, case in enumerate(whole_corpus):
            path = tmp_path / f"{number}"
            path.write_bytes(case.data)
            wrong += [f"{case.name}: {fault}" for fault in await _faults(pool, path, case, ingest)]
            path.unlink()
    finally:
        pool.close()
    assert not wrong, "\n".join(wrong)


async def _faults(pool: CpuPool, path: Path, case: Case, ingest: bool) -> list[str]:
    limits = INGEST_LIMITS if ingest else LIMITS
    try:
        seen = await pool.run(
            partial(look, ingest=ingest),
            path,
            reads=[path],
            writes=[path.parent],
            limits=limits,
        )
    except SafelightError as error:  # the child itself came to a limit
        seen = Look(None, error.problem(), 0.0, 0)
    faults = _wrong_facts(case, seen)
    if seen.cpu_s > limits.cpu_s:
        faults.append(f"took {seen.cpu_s:.1f} s of processor")
    if seen.memory > MEMORY:
        faults.append(f"took {seen.memory >> 20} MiB")
    return faults


def _wrong_facts(case: Case, seen: Look) -> list[str]:
    if seen.problem is not None:
        error = restored(seen.problem)
        return [] if isinstance(error, case.refusals) else [f"refused with {error!r}"]
    if not case.facts:
        return [f"not refused: {seen.facts}"]
    told: dict[str, Any] = {name: getattr(seen.facts, name) for name in case.facts}
    return [] if told == case.facts else [f"{told} instead of {case.facts}"]
