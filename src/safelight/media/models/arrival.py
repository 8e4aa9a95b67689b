"""Sends a 3D model that has come to a child, and a second time where drawing it was too much."""

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
    """Return the facts of the binary glTF at `source`, with pictures of it in `folder`.

    A model that was paid for is not lost because its drawing took a child down: then it has facts
    and no pictures. `still` and what is raised are those of `take_in_model`.
    """
    draw = partial(take_in_model, still=still)
    try:
        made = await pool.run(draw, source, folder, rules, limits=_LIMITS, report=report)
    except OutOfResources as error:
        facts = await pool.run(look_at_model, source, rules, limits=_LIMITS)
        made = TakenInModel(replace(facts, undrawn=error.detail), {})
    if made.facts.undrawn:
        _log.warning("model not drawn", reason=made.facts.undrawn, file=source.name)
    return made
