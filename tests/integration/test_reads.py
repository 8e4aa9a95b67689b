"""Reads of jobs that share queries: whose each answer is, and what streams hear."""

import asyncio
from pathlib import Path

from safelight.assets.intake import Intake, Origin
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.jobs.ledger import batch_store, moves
from safelight.jobs.service import Jobs
from tests import factories
from tests.pictures import picture


async def test_view_when_many_ask_at_once_each_gets_its_own_job_only(
    jobs: Jobs, database: Database, account: str
) -> None:
    other = await factories.new_account(database, "other")
    mine = [await factories.queue(database, account) for _ in range(3)]
    theirs = await factories.queue(database, other)
    asked = [(account, job.id) for job in (*mine, theirs, *mine)] + [(other, mine[0].id)]
    answers = await asyncio.gather(*(jobs.view(*each) for each in asked), return_exceptions=True)
    seen = [
        type(each).__name__ if isinstance(each, BaseException) else each.job.id for each in answers
    ]
    ids = [job.id for job in mine]
    assert seen == [*ids, "NotFound", *ids, "NotFound"]


async def test_view_when_a_job_has_outputs_returns_them_in_order(
    jobs: Jobs, intake: Intake, assets: Assets, database: Database, account: str, tmp_path: Path
) -> None:
    job = await factories.queue(database, account)
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 40, 30))
    for place in (1, 0):
        origin = Origin(account, job_id=job.id)
        row = await intake.keep_picture(path, origin, sanitize=True, position=place)
        await assets.add(row)
    view = await jobs.view(account, job.id)
    assert [each.position for each in view.outputs] == [0, 1]
    assert all(each.job_id == job.id for each in view.outputs)


async def test_news_when_viewers_are_not_equally_far_tells_each_what_it_lacks(
    jobs: Jobs, database: Database, account: str
) -> None:
    other = await factories.new_account(database, "other")
    job = await factories.queue(database, account)
    await database.write(lambda tx: moves.cancel(tx, job.id))
    new, even, stranger = await asyncio.gather(
        jobs.news(account, job.id, {job.id: 0}),
        jobs.news(account, job.id, {job.id: 2}),
        jobs.news(other, job.id, {job.id: 0}),
    )
    assert ([event.type for event in new[0]], new[1]) == (["job.queued", "job.canceled"], True)
    assert even == ([], True)
    assert stranger == ([], True)


async def test_news_when_one_job_has_many_events_tells_all_of_them(
    jobs: Jobs, database: Database, account: str
) -> None:
    job = await factories.queue(database, account)
    for _ in range(300):
        await database.write(lambda tx: moves.cancel(tx, job.id))
        await database.write(lambda tx: moves.redrive(tx, job.id))
    events, final = await jobs.news(account, job.id, {job.id: 1})
    assert [event.seq for event in events] == list(range(2, 602))
    assert not final


async def test_marks_when_a_subject_moves_change_and_are_none_when_it_is_gone(
    jobs: Jobs, database: Database, account: str
) -> None:
    job = await factories.queue(database, account)
    before = await jobs.marks([job.id, "job_gone", "bat_gone"])
    await database.write(lambda tx: moves.cancel(tx, job.id))
    assert before == {job.id: 1}
    assert await jobs.marks([job.id]) == {job.id: 2}


async def test_marks_when_a_job_of_a_batch_moves_are_the_sum_of_what_its_stream_saw(
    jobs: Jobs, database: Database, account: str
) -> None:
    row = factories.batch_row(account)
    batch_id = (await database.write(lambda tx: batch_store.insert(tx, row))).id
    for index in range(2):
        await factories.queue(database, account, batch_id=batch_id, batch_index=index)
    view = await jobs.view_batch(account, batch_id)
    heads = {job.id: job.seq for job in view.jobs} | {batch_id: view.batch.seq}
    assert await jobs.marks([batch_id]) == {batch_id: sum(heads.values())}
    await database.write(lambda tx: moves.cancel(tx, view.jobs[0].id))
    events, _ = await jobs.news(account, batch_id, heads)
    heads |= {event.subject: event.seq for event in events}
    assert await jobs.marks([batch_id]) == {batch_id: sum(heads.values())}
