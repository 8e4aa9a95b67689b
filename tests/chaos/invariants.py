"""What must hold of every history, whatever went wrong on the way: pure functions over it.

Each yields one line for each violation, and names the job, attempt or prompt.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.chaos.history import FINAL, Attempt, History

MOST_CRASHES = 3
# The provider itself says that these calls failed, so nothing was paid for.
SAID_BY_PROVIDER = frozenset({"provider_failed", "provider_rejected", "provider_rate_limited"})
_OF_NOBODY = "health/"  # written by probes
UNKNOWN = "unknown_outcome"
CRASHED = "worker_crashed"

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
    """Nothing fails but what was meant to, or what a dead worker explains; see the next two."""
    endings = {wish.prompt: wish.endings for wish in history.wishes}
    for job in history.jobs:
        if job.ending not in endings.get(job.prompt, frozenset[str]()) | {UNKNOWN, CRASHED}:
            yield f"{job.id} ended as {job.ending}"


def only_killers_are_buried(history: History) -> Iterator[str]:
    """A job is dead-lettered with its third dead worker: neither sooner nor later."""
    for job in history.jobs:
        if (job.ending == CRASHED) != (job.crashes == MOST_CRASHES):
            yield f"{job.id} ended as {job.ending} after {job.crashes} crashes"


def an_unknown_outcome_has_its_reason(history: History) -> Iterator[str]:
    """Only work that costs, whose worker died in mid-call, without a ticket to ask by."""
    for job in history.jobs:
        if job.ending != UNKNOWN:
            continue
        last = history.attempts_of[job.id][-1:]
        excused = not job.repeatable and job.crashes > 0
        if not excused or not last or last[0].ticket is not None:
            yield f"{job.id} is called unknown"


def final_statuses_stay(history: History) -> Iterator[str]:
    """What the API once called final it never calls anything else, nor with other outputs."""
    for job_id, seen in history.sightings_of.items():
        for before, after in pairwise(seen):
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
    """A success has one succeeded attempt and one set of outputs; anything else has neither."""
    wanted = {wish.prompt: wish.outputs for wish in history.wishes}
    for job in history.jobs:
        accepted = sum(each.outcome == "succeeded" for each in history.attempts_of[job.id])
        positions = [asset.position for asset in history.assets_of[job.id]]
        is_success = job.status == "succeeded"
        if accepted != is_success:
            yield f"{job.id} is {job.status} with {accepted} accepted results"
        if positions != list(range(wanted.get(job.prompt, 0) if is_success else 0)):
            yield f"{job.id} is {job.status} with outputs {positions}"


def every_output_is_stored(history: History) -> Iterator[str]:
    """Every object that a row names is there."""
    for asset in history.assets:
        for key in sorted(asset.keys - history.stored_keys):
            yield f"{asset.id} of {asset.job_id} lacks {key}"


def every_object_is_accounted_for(history: History) -> Iterator[str]:
    """Whatever was stored is named by a row, or noted for a sweep: a crash leaves no orphan."""
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
    """They begin with the submit and end with the one final event, which the row confirms."""
    final = {f"job.{status}" for status in FINAL}
    for job in history.jobs:
        kinds = [event.type for event in history.events_of[job.id]]
        ends = [kind for kind in kinds if kind in final]
        if kinds[:1] != ["job.queued"] or ends != kinds[-1:] or ends != [f"job.{job.status}"]:
            yield f"{job.id} is {job.status} and tells {kinds}"


# --- attempts and money -----------------------------------------------------------------------


def every_attempt_is_settled(history: History) -> Iterator[str]:
    """Each is closed with an outcome, and they count from 1."""
    for attempt in history.attempts:
        if attempt.state != "closed" or attempt.outcome is None:
            yield f"{attempt.id} of {attempt.job_id} is {attempt.state} with {attempt.outcome}"
    for job_id, made in history.attempts_of.items():
        if [attempt.number for attempt in made] != list(range(1, len(made) + 1)):
            yield f"{job_id} has attempts {[attempt.number for attempt in made]}"


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


def paid_work_is_not_begun_again(history: History) -> Iterator[str]:
    """What costs is started anew only after the provider itself had said that it failed."""
    started = set(history.attempts_called("start"))
    for job in history.jobs:
        if job.repeatable:
            continue
        calls = [each for each in history.attempts_of[job.id] if each.id in started]
        for before, after in pairwise(calls):
            if not _failed_there(before):
                yield f"{job.id}: {after.id} was started after {before.id} ({before.outcome})"


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
    """Work with a ticket is asked for, not begun again, unless the provider said that it failed."""
    for job_id, made in history.attempts_of.items():
        for before, after in pairwise(made):
            if before.ticket is not None and not _failed_there(before):
                yield f"{job_id}: {after.id} followed {before.id}, which had a ticket"


def paid_work_is_not_called_lost(history: History) -> Iterator[str]:
    """What may have cost money is `unknown`, for a human to look at, never simply lost."""
    paid = {job.id for job in history.jobs if not job.repeatable}
    for attempt in history.attempts:
        if attempt.outcome == "lost" and attempt.job_id in paid:
            yield f"{attempt.id} of {attempt.job_id} was called lost"


def _failed_there(attempt: Attempt) -> bool:
    return attempt.outcome == "failed" and attempt.code in SAID_BY_PROVIDER


INVARIANTS: tuple[Invariant, ...] = (
    every_wish_is_one_job,
    every_job_is_final,
    jobs_end_as_scripted,
    only_killers_are_buried,
    an_unknown_outcome_has_its_reason,
    final_statuses_stay,
    what_was_seen_last_is_so,
    one_result_is_accepted,
    every_output_is_stored,
    every_object_is_accounted_for,
    results_come_from_the_provider,
    no_event_is_missing,
    events_tell_the_story,
    every_attempt_is_settled,
    an_attempt_is_started_once,
    the_provider_is_called_by_the_book,
    paid_work_is_not_begun_again,
    tickets_are_kept,
    tickets_are_resumed,
    paid_work_is_not_called_lost,
)
