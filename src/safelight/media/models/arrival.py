"""Processes a new 3D model in a child, and retries without rendering if that exhausts it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from safelight import telemetry
from safelight.cpu import CpuPool, Limits, OutOfResources, Report
from safelight.media.models.take_in import ModelRules, TakenInModel, look_at_model, take_in_model

_log = telemetry.logger(__name__)

_LIMITS = Limits(cpu_s=120, memory_bytes=2 * 2**30, wall_s=180)


async def receive(
    pool: CpuPool,
    source: Path,
    folder: Path,
    rules: ModelRules,
    *,
    still: bool,
    report: Report | None = None,
) -> TakenInModel:
    """Return the facts of the binary glTF at `source`, with its renditions in `folder`.

    A model whose rendering exhausts the child keeps its facts and gets no pictures: it may have
    been paid for. `still` and the errors raised are those of `take_in_model`.
    """
    draw = partial(take_in_model, still=still)
    try:
        made = await pool.run(
            draw,
            source,
            folder,
            rules,
            reads=[source],
            writes=[folder],
            limits=_LIMITS,
            report=report,
        )
    except OutOfResources as error:
        facts = await pool.run(look_at_model, source, rules, reads=[source], limits=_LIMITS)
        made = TakenInModel(replace(facts, undrawn=error.detail), {})
    if made.facts.undrawn:
        _log.warning("model not drawn", reason=made.facts.undrawn, file=source.name)
    return made
