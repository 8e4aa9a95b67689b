"""The chaos test's checker can fail: each invariant finds the history that breaks it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import invariants
from tests.chaos.history import Asset, Attempt, Call, Event, History, Job, Sighting, Wish
from tests.chaos.invariants import INVARIANTS, Invariant, check

GOOD = History(
    wishes=(
        Wish("a cat", 1, frozenset({"succeeded"}), frozenset({"job_1"})),
        Wish("a paid dog", 1, frozenset({"succeeded"}), frozenset({"job_2"})),
        Wish("a paid cow", 1, frozenset({"succeeded"}), frozenset({"job_3"})),
        Wish("a paid hen", 1, frozenset({"canceled"}), frozenset({"job_4"})),
    ),
    jobs=(
        Job("job_1", "a cat", "succeeded", None, repeatable=True, crashes=1, seq=4),
        Job(
            "job_2",
            "a paid dog",
            "failed",
            "unknown_outcome",
            repeatable=False,
            crashes=1,
            seq=3,
            model="fake-paid",
            cost_micros=None,
        ),
        Job(
            "job_3",
            "a paid cow",
            "succeeded",
            None,
            repeatable=False,
            crashes=0,
            seq=2,
            model="fake-queue",
            cost_micros=9,
            cost_known_micros=9,
        ),
        Job(
            "job_4",
            "a paid hen",
            "canceled",
            None,
            repeatable=False,
            crashes=0,
            seq=2,
            model="fake-paid",
        ),
    ),
    attempts=(
        Attempt("att_1", "job_1", 1, "closed", "lost", None, None, "repeatable"),
        Attempt("att_2", "job_1", 2, "closed", "succeeded", "ticket", None, "verdict"),
        Attempt("att_3", "job_2", 1, "unknown", None, None, None, "none", None),
        Attempt("att_4", "job_3", 1, "closed", "failed", None, "provider_failed", "verdict", 2),
        Attempt("att_5", "job_3", 2, "closed", "succeeded", "cow", None, "verdict", 7),
        Attempt("att_6", "job_4", 1, "closed", "canceled", "hen", None, "canceled"),
    ),
    events=(
        Event("job_1", 1, "job.queued"),
        Event("job_1", 2, "job.started"),
        Event("job_1", 3, "job.queued"),
        Event("job_1", 4, "job.succeeded"),
        Event("job_2", 1, "job.queued"),
        Event("job_2", 2, "job.waiting"),
        Event("job_2", 3, "job.failed"),
        Event("job_3", 1, "job.queued"),
        Event("job_3", 2, "job.succeeded"),
        Event("job_4", 1, "job.queued"),
        Event("job_4", 2, "job.canceled"),
    ),
    assets=(
        Asset("ast_1", "job_1", 0, frozenset({"images/1.png", "originals/1"})),
        Asset("ast_3", "job_3", 0, frozenset({"images/3.png", "originals/1"})),
    ),
    calls=(
        Call("start", "att_1", None),
        Call("start", "att_2", None),
        Call("ticket", "att_2", "ticket"),
        Call("check", "att_2", "ticket"),
        Call("end", "att_2", None),
        Call("start", "att_3", None),
        Call("start", "att_4", None),
        Call("fail", "att_4", None, cost_micros=2),
        Call("start", "att_5", "cow"),
        Call("ticket", "att_5", "cow"),
        Call("end", "att_5", None, cost_micros=7),
        Call("start", "att_6", "hen"),
        Call("ticket", "att_6", "hen"),
        Call("cancel", "", "hen", is_confirmed=True),
    ),
    sightings=(
        Sighting("job_1", "queued", ()),
        Sighting("job_2", "running", ()),
        Sighting("job_1", "succeeded", ("ast_1",)),
        Sighting("job_2", "failed", ()),
        Sighting("job_1", "succeeded", ("ast_1",)),
        Sighting("job_3", "succeeded", ("ast_3",)),
        Sighting("job_4", "canceled", ()),
    ),
    stored_keys=frozenset({"images/1.png", "images/3.png", "originals/1"}),
)

Change = Callable[[History], History]


def job(job_id: str, **changes: Any) -> Change:
    return lambda history: replace(
        history,
        jobs=tuple(
            replace(each, **changes) if each.id == job_id else each for each in history.jobs
        ),
    )


def attempt(attempt_id: str, **changes: Any) -> Change:
    return lambda history: replace(
        history,
        attempts=tuple(
            replace(each, **changes) if each.id == attempt_id else each for each in history.attempts
        ),
    )


def more(**things: Any) -> Change:
    return lambda history: replace(
        history, **{name: (*getattr(history, name), thing) for name, thing in things.items()}
    )


def without(name: str, thing: Any) -> Change:
    return lambda history: replace(
        history, **{name: tuple(each for each in getattr(history, name) if each != thing)}
    )


def both(*changes: Change) -> Change:
    def change(history: History) -> History:
        for each in changes:
            history = each(history)
        return history

    return change


SECOND_PAID = both(
    attempt("att_3", state="closed", outcome="lost", ground="person"),
    more(attempts=Attempt("att_9", "job_2", 2, "unknown", None, None, None, "none", None)),
    more(calls=Call("start", "att_9", None)),
)
FORGOTTEN = without("calls", GOOD.calls[13])  # the cancel of `att_6`
REFUSED = both(
    job("job_2", code="provider_unauthorized", cost_micros=0),
    attempt(
        "att_3",
        state="closed",
        outcome="failed",
        code="provider_unauthorized",
        ground="refused",
        cost_micros=0,
    ),
)

BROKEN: list[tuple[Invariant, Change]] = [
    (invariants.every_wish_is_one_job, without("jobs", GOOD.jobs[0])),
    (invariants.every_wish_is_one_job, more(jobs=replace(GOOD.jobs[0], id="job_9"))),
    (invariants.every_wish_is_one_job, job("job_1", id="job_9")),
    (invariants.every_wish_is_one_job, without("wishes", GOOD.wishes[0])),
    (invariants.every_job_is_final, job("job_1", status="running")),
    (invariants.jobs_end_as_scripted, job("job_1", status="failed", code="timed_out")),
    (invariants.jobs_end_as_scripted, job("job_1", status="canceled")),
    (
        invariants.only_killers_are_buried,
        job("job_1", status="failed", code="worker_crashed", crashes=2),
    ),
    (invariants.only_killers_are_buried, job("job_2", code="worker_crashed", crashes=3)),
    (invariants.an_unknown_outcome_has_its_reason, attempt("att_3", state="closed")),
    (invariants.an_unknown_outcome_has_its_reason, job("job_2", model="fake-queue")),
    (invariants.an_unknown_outcome_has_its_reason, job("job_2", repeatable=True)),
    (invariants.an_unknown_outcome_has_its_reason, attempt("att_3", ticket="ticket")),
    (invariants.a_rotated_key_ends_only_what_was_not_begun, REFUSED),
    (invariants.final_statuses_stay, more(sightings=Sighting("job_1", "running", ()))),
    (invariants.final_statuses_stay, more(sightings=Sighting("job_1", "succeeded", ("ast_2",)))),
    (invariants.what_was_seen_last_is_so, job("job_1", status="canceled")),
    (invariants.what_was_seen_last_is_so, without("sightings", GOOD.sightings[3])),
    (invariants.one_result_is_accepted, attempt("att_1", outcome="succeeded")),
    (invariants.one_result_is_accepted, attempt("att_2", outcome="failed")),
    (invariants.one_result_is_accepted, attempt("att_3", outcome="succeeded")),
    (invariants.one_result_is_accepted, without("assets", GOOD.assets[0])),
    (
        invariants.one_result_is_accepted,
        more(assets=Asset("ast_2", "job_1", 0, frozenset())),
    ),
    (
        invariants.one_result_is_accepted,
        more(assets=Asset("ast_2", "job_4", 0, frozenset())),
    ),
    (
        invariants.one_result_is_accepted,
        more(assets=Asset("ast_2", "job_2", 0, frozenset())),
    ),
    (
        invariants.every_output_is_stored,
        lambda history: replace(history, stored_keys=frozenset({"originals/1"})),
    ),
    (
        invariants.every_object_is_accounted_for,
        lambda history: replace(history, stored_keys=history.stored_keys | {"images/2.png"}),
    ),
    (invariants.results_come_from_the_provider, without("calls", GOOD.calls[4])),
    (invariants.no_event_is_missing, without("events", GOOD.events[1])),
    (invariants.no_event_is_missing, job("job_1", seq=5)),
    (invariants.events_tell_the_story, without("events", GOOD.events[0])),
    (invariants.events_tell_the_story, without("events", GOOD.events[3])),
    (invariants.events_tell_the_story, more(events=Event("job_1", 5, "job.failed"))),
    (invariants.events_tell_the_story, more(events=Event("job_1", 5, "job.progress"))),
    (invariants.events_tell_the_story, job("job_1", status="canceled")),
    (invariants.every_attempt_is_settled, attempt("att_1", state="sent", outcome=None)),
    (invariants.every_attempt_is_settled, attempt("att_3", outcome="failed")),
    (invariants.every_attempt_is_settled, attempt("att_3", ticket="ticket")),
    (invariants.every_attempt_is_settled, job("job_2", code="timed_out")),
    (invariants.every_attempt_is_settled, without("attempts", GOOD.attempts[0])),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_2", ground="refused")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_2", ground="none")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_3", ground="verdict")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_5", ground="canceled")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_5", ground="repeatable")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_5", ground="person")),
    (invariants.attempts_are_closed_on_true_grounds, attempt("att_6", ground="absent")),
    (invariants.attempts_are_closed_on_true_grounds, FORGOTTEN),
    (invariants.an_attempt_is_started_once, more(calls=GOOD.calls[0])),
    (
        invariants.the_provider_is_called_by_the_book,
        more(calls=Call("start", "att_9", None)),
    ),
    (invariants.paid_work_is_begun_once, SECOND_PAID),
    (invariants.paid_work_is_begun_once, without("calls", GOOD.calls[7])),
    (invariants.paid_work_is_never_left_alone, FORGOTTEN),
    (invariants.paid_work_is_never_left_alone, REFUSED),
    (invariants.paid_results_are_delivered, job("job_3", status="failed", code="timed_out")),
    (invariants.paid_results_are_delivered, attempt("att_5", outcome="failed")),
    (invariants.every_cost_is_on_its_job, attempt("att_5", cost_micros=None)),
    (invariants.every_cost_is_on_its_job, attempt("att_4", cost_micros=0)),
    (invariants.every_cost_is_on_its_job, job("job_3", cost_micros=7)),
    (invariants.every_cost_is_on_its_job, job("job_2", cost_micros=0)),
    (invariants.tickets_are_kept, attempt("att_2", ticket="another")),
    (invariants.tickets_are_kept, attempt("att_2", outcome="lost")),
    (
        invariants.tickets_are_resumed,
        more(
            attempts=Attempt("att_9", "job_1", 3, "closed", "lost", None, None, "repeatable"),
        ),
    ),
]


def test_check_when_nothing_went_wrong_finds_nothing() -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("broken", "change"),
    BROKEN,
    ids=[f"{rule.__name__}-{number}" for number, (rule, _) in enumerate(BROKEN)],
)
def test_check_when_an_invariant_is_broken_names_it(broken: Invariant, change: Change) -> None:
    assert list(broken(change(GOOD)))
    assert any(line.startswith(f"{broken.__name__}: ") for line in check(change(GOOD)))


def test_check_when_the_provider_refused_the_order_allows_another_start() -> None:
    refused = both(REFUSED, more(calls=Call("refuse", "att_3", None)))
    assert check(refused(GOOD)) == []


def test_check_when_a_result_came_for_a_canceled_job_wants_its_cost_and_no_more() -> None:
    late = both(
        FORGOTTEN,
        more(calls=Call("end", "att_6", None, cost_micros=5)),
        attempt("att_6", outcome="succeeded", ground="verdict", cost_micros=5),
        job("job_4", cost_micros=5, cost_known_micros=5),
    )
    assert check(late(GOOD)) == []


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _ in BROKEN} == set(INVARIANTS)
