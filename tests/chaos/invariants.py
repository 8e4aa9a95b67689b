"""The invariants of every history, whatever faults it had: pure functions over it.

Each yields one line for each violation, and names the job, attempt or prompt.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.chaos.history import FINAL, Attempt, History, Job, Work

MOST_CRASHES = 3
_OF_NOBODY = "health/"  # written by probes
UNKNOWN = "unknown_outcome"
CRASHED = "worker_crashed"
UNAUTHORIZED = "provider_unauthorized"
ASKABLE = "fake-queue"  # its vendor can tell what became of a lost start

Invariant = Callable[[History], Iterator[str]]


def check(history: History) -> list[str]:
    """Return every violation of every invariant, each with the invariant's name before it."""
    return [f"{rule.__name__}: {found}" for rule in INVARIANTS for found in rule(history)]


# --- jobs -------------------------------------------------------------------------------------


def every_wish_is_one_job(history: History) -> Iterator[str]:
    """No submit is lost, and none that was sent twice is made twice."""
    made = Counter(job.prompt for job in history.jobs)
    ids = {job.prompt: job.id for job in history.jobs}
    for wish in history.wishes:
        if made[wish.prompt] != 1:
            yield f"{wish.prompt!r} became {made[wish.prompt]} jobs"
        elif wish.job_ids != {ids[wish.prompt]}:
            yield f"{wish.prompt!r} is {ids[wish.prompt]}, and {sorted(wish.job_ids)} was answered"
    for prompt in made.keys() - {wish.prompt for wish in history.wishes}:
        yield f"{prompt!r} was never asked for"


def every_job_is_final(history: History) -> Iterator[str]:
    """No job is left behind."""
    for job in history.jobs:
        if job.status not in FINAL:
            yield f"{job.id} is {job.status}"


def jobs_end_as_scripted(history: History) -> Iterator[str]:
    """Nothing fails but what was meant to, or for a reason that the next three look into."""
    endings = {wish.prompt: wish.endings for wish in history.wishes}
    explained = {UNKNOWN, CRASHED, UNAUTHORIZED}
    for job in history.jobs:
        if job.ending not in endings.get(job.prompt, frozenset[str]()) | explained:
            yield f"{job.id} ended as {job.ending}"


def only_killers_are_buried(history: History) -> Iterator[str]:
    """A job is dead-lettered with its third dead worker in a row, and never with a ticket."""
    for job in history.jobs:
        if job.ending != CRASHED:
            continue
        if job.crashes < MOST_CRASHES:
            yield f"{job.id} was buried after {job.crashes} crashes"
        if any(each.is_open for each in history.attempts_of[job.id]):
            yield f"{job.id} was buried while its provider worked on it"


def an_unknown_outcome_has_its_reason(history: History) -> Iterator[str]:
    """Only paid work that may have been begun, whose answer is lost, and whose vendor cannot tell.

    It waits for a person: its attempt stays open, until its worker or a callback brings word. A
    ticket that came after that led to a cancel.
    """
    for job in history.jobs:
        if job.ending != UNKNOWN:
            continue
        last = history.attempts_of[job.id][-1:]
        is_lost = bool(last) and _was_lost(last[0]) and _was_open_at_end(last[0], job)
        if job.repeatable or job.model == ASKABLE or not is_lost:
            tries = history.attempts_of[job.id]
            yield f"{job.id} ({job.prompt}) is called unknown: {job}, {tries}"


def _was_lost(attempt: Attempt) -> bool:
    return attempt.ticket is None or attempt.unknown_at is not None


def _was_open_at_end(attempt: Attempt, job: Job) -> bool:
    if attempt.closed_at is None or job.finished_at is None:
        return attempt.is_open
    return attempt.closed_at >= job.finished_at


def a_rotated_key_ends_only_what_was_not_begun(history: History) -> Iterator[str]:
    """A start that was refused at the door ends its job; a refused look ends nothing."""
    for job in history.jobs:
        if job.ending != UNAUTHORIZED:
            continue
        for attempt in history.attempts_of[job.id]:
            if attempt.ground == "repeatable":
                continue  # its worker died, it costs nothing, and the job began again
            work = history.works.get(attempt.id)
            if work is not None and work.begun and not work.is_over:
                yield f"{job.id} ended as {UNAUTHORIZED} while {attempt.id} went on"


def final_statuses_stay(history: History) -> Iterator[str]:
    """A job that the API called final keeps its status and outputs."""
    for job_id, seen in history.sightings_of.items():
        for before, after in pairwise(seen):
            is_found = (before.status, after.status) == ("failed", "succeeded")
            if is_found and job_id in history.found_late:
                continue
            if before.status in FINAL and (before.status, before.outputs) != (
                after.status,
                after.outputs,
            ):
                yield f"{job_id} went from {before.status} to {after.status}, or to other outputs"


def what_was_seen_last_is_so(history: History) -> Iterator[str]:
    """The last answer of the API agrees with the row."""
    for job in history.jobs:
        seen = history.sightings_of[job.id]
        if not seen or seen[-1].status != job.status:
            yield f"{job.id} is {job.status}, and was seen as {seen[-1].status if seen else None}"


# --- results ----------------------------------------------------------------------------------


def one_result_is_accepted(history: History) -> Iterator[str]:
    """A success has one succeeded attempt and one set of outputs; a failure has neither.

    A canceled job may have an attempt that succeeded all the same, and no outputs.
    """
    wanted = {wish.prompt: wish.outputs for wish in history.wishes}
    for job in history.jobs:
        accepted = sum(each.outcome == "succeeded" for each in history.attempts_of[job.id])
        positions = [asset.position for asset in history.assets_of[job.id]]
        is_success = job.status == "succeeded"
        if accepted != is_success and not (accepted == 1 and job.status == "canceled"):
            yield f"{job.id} is {job.status} with {accepted} accepted results"
        if positions != list(range(wanted.get(job.prompt, 0) if is_success else 0)):
            yield f"{job.id} is {job.status} with outputs {positions}"


def every_output_is_stored(history: History) -> Iterator[str]:
    """Every object that a row names is there."""
    for asset in history.assets:
        for key in sorted(asset.keys - history.stored_keys):
            yield f"{asset.id} of {asset.job_id} lacks {key}"


def every_object_is_accounted_for(history: History) -> Iterator[str]:
    """Every stored object is named by a row, or noted for a sweep: a crash leaves no orphan."""
    named = {key for asset in history.assets for key in asset.keys} | history.noted_keys
    for key in sorted(history.stored_keys - named):
        if not key.startswith(_OF_NOBODY):
            yield f"nobody knows of {key}"


def results_come_from_the_provider(history: History) -> Iterator[str]:
    """The provider remembers having finished whatever was accepted."""
    ended = set(history.attempts_called("end"))
    for attempt in history.attempts:
        if attempt.outcome == "succeeded" and attempt.id not in ended:
            yield f"{attempt.id} of {attempt.job_id} was never finished by the provider"


# --- events -----------------------------------------------------------------------------------


def no_event_is_missing(history: History) -> Iterator[str]:
    """A job's events count from 1 without a gap up to what its row says."""
    for job in history.jobs:
        numbers = [event.seq for event in history.events_of[job.id]]
        if numbers != list(range(1, job.seq + 1)):
            yield f"{job.id} counts {job.seq} events and has {numbers}"


def events_tell_the_story(history: History) -> Iterator[str]:
    """They begin with the submit and end with the one final event, which the row confirms.

    A job whose outcome was called unknown has another when its result is found.
    """
    final = {f"job.{status}" for status in FINAL}
    for job in history.jobs:
        kinds = [event.type for event in history.events_of[job.id]]
        ends = [kind for kind in kinds if kind in final]
        if job.id in history.found_late:
            ends.remove("job.failed")
        if kinds[:1] != ["job.queued"] or ends != kinds[-1:] or ends != [f"job.{job.status}"]:
            yield f"{job.id} is {job.status} and tells {kinds}"


# --- attempts and money -----------------------------------------------------------------------


def every_attempt_is_settled(history: History) -> Iterator[str]:
    """Each is closed with an outcome, or waits for a person's word; and they count from 1."""
    waiting = {job.id for job in history.jobs if job.ending in (UNKNOWN, "canceled")}
    for attempt in history.attempts:
        is_known = attempt.ticket is not None or attempt.job_id not in waiting
        if attempt.is_open == (attempt.outcome is not None) or (attempt.is_open and is_known):
            yield f"{attempt.id} of {attempt.job_id} is {attempt.state} with {attempt.outcome}"
    for job_id, made in history.attempts_of.items():
        if [attempt.number for attempt in made] != list(range(1, len(made) + 1)):
            yield f"{job_id} has attempts {[attempt.number for attempt in made]}"


def attempts_are_closed_on_true_grounds(history: History) -> Iterator[str]:
    """Why an attempt was closed is what the provider's own books say."""
    repeatable = {job.id for job in history.jobs if job.repeatable}
    for attempt in history.attempts:
        work = history.works.get(attempt.id, _NOTHING)
        if not (
            {
                "none": attempt.is_open,
                "verdict": work.is_over,
                "canceled": work.is_canceled,
                "refused": not work.begun,
                "absent": not work.begun,
                "unsent": not work.begun,
                "repeatable": attempt.job_id in repeatable,
            }.get(attempt.ground, False)
            and attempt.is_open == (attempt.ground == "none")
        ):
            yield f"{attempt.id} of {attempt.job_id} is {attempt.state} as {attempt.ground}: {work}"


def an_attempt_is_started_once(history: History) -> Iterator[str]:
    """The provider never heard the same attempt twice: that would be paid twice."""
    for attempt_id, count in Counter(history.attempts_called("start")).items():
        if count > 1:
            yield f"{attempt_id} was started {count} times"


def the_provider_is_called_by_the_book(history: History) -> Iterator[str]:
    """Every call belongs to an attempt whose row was written before it."""
    known = {attempt.id for attempt in history.attempts}
    called = {call.attempt_id for call in history.calls if call.what != "cancel"}
    for attempt_id in sorted(called - known):
        yield f"{attempt_id} was called without a row"


def paid_work_is_begun_once(history: History) -> Iterator[str]:
    """Paid work starts again only after the provider ended it without a result."""
    for job in history.jobs:
        if job.repeatable:
            continue
        begun = [
            each
            for each in history.attempts_of[job.id]
            if history.works.get(each.id, _NOTHING).begun
        ]
        for before, after in pairwise(begun):
            if not _failed_there(history, before):
                yield f"{job.id}: {after.id} was begun after {before.id} ({before.outcome})"


def paid_work_is_never_left_alone(history: History) -> Iterator[str]:
    """All that was begun is ended by its provider, or canceled there, or waits to be."""
    for attempt, work in _paid_works(history):
        if not work.is_over and not attempt.is_open:
            yield f"{attempt.id} of {attempt.job_id} was left alone ({attempt.ground})"


def paid_results_are_delivered(history: History) -> Iterator[str]:
    """Work that the provider finished is its job's result, unless the job was canceled or waits."""
    endings = {job.id: job.ending for job in history.jobs}
    for attempt, work in _paid_works(history):
        ending = endings[attempt.job_id]
        is_delivered = ending == "succeeded" and attempt.outcome == "succeeded"
        if work.has_ended and not is_delivered and ending not in ("canceled", UNKNOWN):
            yield f"{attempt.id} of {attempt.job_id} was finished, and that is {ending}"


def every_cost_is_on_its_job(history: History) -> Iterator[str]:
    """The cost that the provider reported is on the attempt, and the sum is on the job."""
    for attempt, work in _paid_works(history):
        if not attempt.is_open and attempt.cost_micros != work.cost_micros:
            yield (
                f"{attempt.id} of {attempt.job_id} cost {work.cost_micros},"
                f" and {attempt.cost_micros} was written"
            )
    for job in history.jobs:
        costs = [attempt.cost_micros for attempt in history.attempts_of[job.id]]
        known = sum(cost for cost in costs if cost is not None)
        whole = None if None in costs else known
        told = job.cost_micros, job.cost_known_micros
        if costs and job.status in FINAL and told != (whole, known):
            yield f"{job.id} says that it costs {told}, and had {costs}"


def tickets_are_kept(history: History) -> Iterator[str]:
    """A stored ticket is the one that the provider gave, and its work is never called lost."""
    given = {(call.attempt_id, call.ticket) for call in history.calls if call.what == "ticket"}
    for attempt in history.attempts:
        if attempt.ticket is None:
            continue
        if (attempt.id, attempt.ticket) not in given:
            yield f"{attempt.id} of {attempt.job_id} has a ticket that nobody gave"
        if attempt.outcome == "lost":
            yield f"{attempt.id} of {attempt.job_id} was lost although it had a ticket"


def tickets_are_resumed(history: History) -> Iterator[str]:
    """Work with a ticket is asked for, not begun again, unless its provider had ended it."""
    for job_id, made in history.attempts_of.items():
        for before, after in pairwise(made):
            if before.ticket is not None and not _failed_there(history, before):
                yield f"{job_id}: {after.id} followed {before.id}, which had a ticket"


_NOTHING = Work(
    begun=False,
    ticket=None,
    has_ended=False,
    has_failed=False,
    is_canceled=False,
    cost_micros=None,
)


def _paid_works(history: History) -> Iterator[tuple[Attempt, Work]]:
    paid = {job.id for job in history.jobs if not job.repeatable}
    for attempt in history.attempts:
        work = history.works.get(attempt.id, _NOTHING)
        if attempt.job_id in paid and work.begun:
            yield attempt, work


def _failed_there(history: History, attempt: Attempt) -> bool:
    work = history.works.get(attempt.id, _NOTHING)
    return work.has_failed or (work.is_canceled and not work.has_ended)


INVARIANTS: tuple[Invariant, ...] = (
    every_wish_is_one_job,
    every_job_is_final,
    jobs_end_as_scripted,
    only_killers_are_buried,
    an_unknown_outcome_has_its_reason,
    a_rotated_key_ends_only_what_was_not_begun,
    final_statuses_stay,
    what_was_seen_last_is_so,
    one_result_is_accepted,
    every_output_is_stored,
    every_object_is_accounted_for,
    results_come_from_the_provider,
    no_event_is_missing,
    events_tell_the_story,
    every_attempt_is_settled,
    attempts_are_closed_on_true_grounds,
    an_attempt_is_started_once,
    the_provider_is_called_by_the_book,
    paid_work_is_begun_once,
    paid_work_is_never_left_alone,
    paid_results_are_delivered,
    every_cost_is_on_its_job,
    tickets_are_kept,
    tickets_are_resumed,
)
