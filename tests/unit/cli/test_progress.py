"""Events become rows that a person can follow, and the last of them the whole document."""

from typing import Any

import pytest

from safelight.cli.progress import Row, Update, describe, read_document, read_event
from tests.unit.cli.documents import batch, done, job


def event(kind: str, subject: str = "job_1", **data: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "seq": 2, "subject": subject, "data": data}


def test_event_when_it_tells_progress_becomes_a_row() -> None:
    data = event("job.progress", progress=40.5, stage="drawing", status="running")

    update = read_event("job.progress", data, "job_1")

    assert update == Update((Row("job_1", "", "running", "drawing", 40.5),))


def test_event_when_it_ends_the_followed_job_brings_the_document() -> None:
    final = done()

    update = read_event("job.succeeded", event("job.succeeded", job=final), "job_1")

    assert update.final == final
    assert update.rows[0].is_final


def test_event_when_it_ends_one_job_of_a_batch_ends_nothing_else() -> None:
    data = event("job.failed", name="mug.png", index=0, job=job(status="failed"))

    update = read_event("job.failed", data, "bat_1")

    assert update == Update((Row("job_1", "mug.png", "failed"),))


def test_event_when_it_tells_of_several_jobs_of_a_batch_becomes_a_row_of_each() -> None:
    items = [
        {
            "job_id": "job_1",
            "event": "job.progress",
            "name": "mug.png",
            "progress": 40,
            "stage": "x",
        },
        {"job_id": "job_2", "event": "job.failed", "name": "cup.png", "job": job(status="failed")},
    ]

    update = read_event("batch.progress", event("batch.progress", "bat_1", items=items), "bat_1")

    assert update.rows == (
        Row("job_1", "mug.png", "running", "x", 40),
        Row("job_2", "cup.png", "failed"),
    )


def test_event_when_the_batch_is_finished_brings_its_document() -> None:
    final = batch(done(), finished_at="2026-01-01T00:00:02Z")
    data = event("batch.finished", "bat_1", batch=final)
    assert read_event("batch.finished", data, "bat_1") == Update(final=final)


@pytest.mark.parametrize("kind", ["batch.created", "asset.created", "something.new"])
def test_event_when_its_kind_says_nothing_of_progress_changes_nothing(kind: str) -> None:
    assert read_event(kind, event(kind), "job_1") == Update()


def test_snapshot_when_the_job_is_final_is_the_end() -> None:
    final = done()
    assert read_event("snapshot", final, "job_1").final == final
    assert read_event("snapshot", job(), "job_1").final is None


def test_document_when_a_batch_holds_a_refused_item_has_a_row_for_it() -> None:
    document = batch(job(name="mug.png", queue_position=3), problem={"title": "Too large"})

    rows = read_document(document).rows

    assert rows == (Row("job_1", "mug.png", "queued", ahead=3), Row("item 1", "bad.png", "failed"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row("1", "", "queued", ahead=3), "queued, 3 before it"),
        (Row("1", "", "queued", ahead=0), "queued"),
        (Row("1", "", "running", "drawing", 39.6), "40 % drawing"),
        (Row("1", "", "running"), "0 %"),
        (Row("1", "", "failed", "drawing", 40), "failed"),
    ],
)
def test_row_when_described_says_how_far_it_is(row: Row, words: str) -> None:
    assert describe(row) == words
