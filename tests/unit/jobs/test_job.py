"""The moves of a job are those of the design, and each tells one known event."""

import pytest

from safelight.events import TYPES
from safelight.jobs.job import EVENT_OF, FINAL, MOVES, JobStatus, Move
from tests import factories

# As the table in the design has them.
DESIGN = {
    "claim": ("queued waiting", "running"),
    "park": ("running", "waiting"),
    "succeed": ("running waiting failed", "succeeded"),
    "retry": ("running", "queued"),
    "snooze": ("running", "queued"),
    "release": ("running", "queued waiting"),
    "rescue": ("running", "queued waiting"),
    "bury": ("running", "failed"),
    "expire": ("queued", "failed"),
    "fail": ("running", "failed"),
    "cancel": ("queued waiting running", "canceled"),
    "redrive": ("failed canceled", "queued"),
}


@pytest.mark.parametrize("move", Move)
def test_move_when_compared_with_the_design_has_its_sources_and_targets(move: Move) -> None:
    sources, targets = MOVES[move]
    assert (set(sources), set(targets)) == tuple(
        {JobStatus(status) for status in side.split()} for side in DESIGN[move.value]
    )


def test_moves_when_counted_are_those_of_the_design() -> None:
    assert {move.value for move in Move} == set(DESIGN) == {move.value for move in MOVES}


def test_events_of_moves_when_looked_up_are_all_in_the_closed_list() -> None:
    assert set(EVENT_OF) == set(Move)
    assert set(EVENT_OF.values()) <= TYPES


def test_event_of_a_move_when_it_ends_a_job_names_that_end() -> None:
    for move, (_, targets) in MOVES.items():
        ends = targets & FINAL
        assert not ends or {EVENT_OF[move]} == {f"job.{status.value}" for status in ends}


def test_final_status_when_moves_are_searched_is_left_by_a_redrive_or_a_late_result() -> None:
    leaving = {move: sources & FINAL for move, (sources, _) in MOVES.items() if sources & FINAL}
    assert leaving == {
        Move.SUCCEED: {JobStatus.FAILED},
        Move.REDRIVE: {JobStatus.FAILED, JobStatus.CANCELED},
    }


@pytest.mark.parametrize("status", JobStatus)
def test_is_final_when_asked_agrees_with_the_final_statuses(status: JobStatus) -> None:
    assert factories.job(status=status).is_final == (status in FINAL)
