"""Routes for batches: create, list, follow, change, cancel, redrive, download."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from safelight import documents
from safelight.assets.derived.conversions import is_convertible
from safelight.assets.derived.variant_store import Variant
from safelight.doorbell import doorbell
from safelight.errors import WrongState
from safelight.jobs.bodies import BatchChange, MakeBatch
from safelight.jobs.job import Job
from safelight.jobs.service import BatchView
from safelight.jobs.submit import Submitted
from safelight.jobs.topics import topics_of
from safelight.jobs.view import batch_summary
from safelight.media.models.convert import ModelFormat
from safelight.web.answers import answer_submit, batch_answer, conditional_response, json_response
from safelight.web.api.formats import CONVERSION_PROBLEMS, FormatQuery
from safelight.web.api.jobs import Cursor, LastEventId, Limit, cursor_after, stream
from safelight.web.api.submit import (
    SUBMIT_PROBLEMS,
    IdempotencyKey,
    as_known_to_workers,
    check_source,
    check_told,
    repeat_of,
)
from safelight.web.archive import Entry, archive
from safelight.web.auth import JobReader, JobWriter, Parts
from safelight.web.contract import returns, sends, streams, submits
from safelight.web.errors import TooManyFiles
from safelight.web.json_route import JsonRoute
from safelight.web.package import MANIFEST, clean, manifest, pack
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["batches"])


@router.post(
    "/batches",
    **submits(documents.SubmittedBatch, problems=(*SUBMIT_PROBLEMS, TooManyFiles)),
)
async def create_batch(
    request: Request,
    body: MakeBatch,
    caller: JobWriter,
    services: Parts,
    key: IdempotencyKey = None,
) -> Response:
    """Make a 3D model of each item: an asset, a URL, or several views of one object."""
    repeat = await repeat_of(request, key)
    body = as_known_to_workers(services, body)

    async def submit() -> Submitted:
        await services.entry.check_space()
        if len(body.items) > services.entry.limits.batch_files:
            raise TooManyFiles(f"At most {services.entry.limits.batch_files} items a batch.")
        for index, item in enumerate(body.whole_items()):
            for one in item.inputs:
                check_source(services, f"items.{index}", one.source)
        await check_told(services, caller.account_id, body)
        return await services.submits.make_3d_of(caller.account_id, body, repeat)

    made = await services.submits.once(caller.account_id, repeat, submit)
    return await answer_submit(request, services, caller.account_id, made)


@router.get("/batches", **returns(documents.BatchList, conditional=True))
async def list_batches(
    request: Request, caller: JobReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return your batches without their items, newest first."""
    found = await services.batches.page(caller.account_id, before=cursor, limit=limit + 1)
    shown = [batch_summary(batch, tally, services.links) for batch, tally in found[:limit]]
    document: documents.BatchList = {
        "data": shown,
        "next_cursor": cursor_after(shown, more=len(found) > limit),
    }
    return conditional_response(request, document)


@router.get("/batches/{batch_id}", **returns(documents.Batch, conditional=True))
async def get_batch(
    request: Request, batch_id: str, caller: JobReader, services: Parts
) -> Response:
    """Return one batch with all its items."""
    return conditional_response(request, await batch_answer(services, caller.account_id, batch_id))


@router.patch("/batches/{batch_id}", **returns(documents.Batch))
async def change_batch(
    batch_id: str, body: BatchChange, caller: JobWriter, services: Parts
) -> Response:
    """Change a batch's name, tags or metadata; omitted fields stay."""
    values = body.model_dump(exclude_unset=True)
    await services.batches.change(caller.account_id, batch_id, values)
    return json_response(await batch_answer(services, caller.account_id, batch_id))


@router.get("/batches/{batch_id}/events", **streams(documents.Batch, documents.BatchEvent))
async def follow_batch(
    batch_id: str, caller: JobReader, services: Parts, last_event_id: LastEventId = None
) -> Response:
    """Follow a batch as server-sent events, until all its jobs are final.

    All changes of its jobs since the last look are one `batch.progress`, a few per second.
    """
    await services.batches.tally(caller.account_id, batch_id)
    return await stream(services, caller, batch_id, last_event_id)


@router.post("/batches/{batch_id}/cancel", **returns(documents.Batch))
async def cancel_batch(batch_id: str, caller: JobWriter, services: Parts) -> Response:
    """Cancel all unfinished jobs of the batch."""
    _ring(services, batch_id, await services.batches.cancel(caller.account_id, batch_id))
    return json_response(await batch_answer(services, caller.account_id, batch_id))


@router.post("/batches/{batch_id}/redrive", **returns(documents.Batch, status=202))
async def redrive_batch(batch_id: str, caller: JobWriter, services: Parts) -> Response:
    """Redrive all failed jobs of the batch."""
    _ring(services, batch_id, await services.batches.redrive(caller.account_id, batch_id))
    return json_response(await batch_answer(services, caller.account_id, batch_id), 202)


@router.get(
    "/batches/{batch_id}/download",
    **sends(
        ["application/zip"],
        WrongState,
        *CONVERSION_PROBLEMS,
        headers=["Content-Disposition"],
    ),
)
async def download_batch(
    batch_id: str,
    caller: JobReader,
    services: Parts,
    *,
    previews: Annotated[bool, Query(description="Include a picture of each 3D model.")] = False,
    form: FormatQuery = None,
) -> Response:
    """Return all results in one ZIP, with a manifest."""
    view = await services.jobs.view_batch(caller.account_id, batch_id)
    converted = await _converted(services, view, form) if form else {}
    files = pack(view, previews=previews, converted=converted)
    if not files:
        raise WrongState("The batch has no result to download.")
    said = manifest(view, files, services.links)
    content = orjson.dumps(said, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2)
    entries = [
        Entry(MANIFEST, datetime.now(UTC), len(content), content),
        *(Entry(file.path, file.made_at, file.bytes, file.key) for file in files),
    ]
    name = quote(clean(view.batch.name) or batch_id)
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f"attachment; filename={batch_id}.zip; filename*=UTF-8''{name}.zip",
    }
    return StreamingResponse(
        archive(services.files.storage, entries), headers=headers, media_type="application/zip"
    )


async def _converted(services: Services, view: BatchView, form: ModelFormat) -> dict[str, Variant]:
    """Convert every model of the batch; those without conversions stay as they are."""
    models = [asset for made in view.outputs.values() for asset in made if is_convertible(asset)]
    found = await asyncio.gather(
        *(services.files.conversions.open(model, form) for model in models)
    )
    return {each.asset_id: each for each in found}


def _ring(services: Services, batch_id: str, moved: Sequence[Job]) -> None:
    services.bell.ring(doorbell.subject(batch_id), doorbell.HALT, *topics_of(moved))
