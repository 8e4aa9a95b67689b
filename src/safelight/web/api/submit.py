"""Routes that submit work: a prompt, URLs, or pictures; each returns an id at once."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from safelight import documents, telemetry
from safelight.assets.asset import NewAsset
from safelight.errors import InvalidRequest, NotFound, SafelightError, StorageFull
from safelight.fetch.errors import UrlNotAllowed
from safelight.jobs import bodies
from safelight.jobs.bodies import Generate, ImportImages, ImportItem, Submission, UploadBatch
from safelight.jobs.errors import IdempotencyConflict
from safelight.jobs.ledger import idempotency
from safelight.jobs.submit import Refused, Repeat, Submitted
from safelight.json_object import JsonObject
from safelight.media.errors import MediaEmpty
from safelight.providers.errors import UnknownModel
from safelight.providers.provider import Role
from safelight.web.answers import answer_submit
from safelight.web.auth import JobWriter, Parts
from safelight.web.contract import form, submits
from safelight.web.errors import TooManyFiles
from safelight.web.json_route import JsonRoute, canonical
from safelight.web.services import Services
from safelight.web.uploads import Upload, read_fields, received

Body = TypeVar("Body", bound=BaseModel)

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["submit"])

BATCH_MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
_MAX_NAME = 255
# Fields that may name a file of this server.
_SOURCES = frozenset({"url", "urls", "references", "mask", "items", "image", *Role})
SUBMIT_PROBLEMS = (IdempotencyConflict, UnknownModel, NotFound, StorageFull)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=idempotency.MAX_KEY_LENGTH,
        description="A repeated request with the same key returns the same job.",
    ),
]


@router.post("/generate", **submits(documents.SubmittedJob, problems=SUBMIT_PROBLEMS))
async def create_generation(
    request: Request, body: Generate, caller: JobWriter, services: Parts, key: IdempotencyKey = None
) -> Response:
    """Generate pictures from a prompt and optional reference pictures."""
    repeat = await repeat_of(request, key)
    body = as_known_to_workers(services, body)

    async def submit() -> Submitted:
        await services.entry.check_space()
        for index, reference in enumerate(body.references):
            check_source(services, f"references.{index}", reference)
        if body.mask:
            check_source(services, "mask", body.mask)
        await check_told(services, caller.account_id, body)
        return await services.submits.generate(caller.account_id, body, repeat)

    made = await services.submits.once(caller.account_id, repeat, submit)
    return await answer_submit(request, services, caller.account_id, made)


@router.post(
    "/images",
    **submits(
        documents.SubmittedJob,
        documents.SubmittedBatch,
        problems=(*SUBMIT_PROBLEMS, UrlNotAllowed, TooManyFiles),
    ),
)
async def create_import(
    request: Request,
    body: ImportImages,
    caller: JobWriter,
    services: Parts,
    key: IdempotencyKey = None,
) -> Response:
    """Import one URL as a job, or several as a batch; a bad URL does not stop the others."""
    repeat = await repeat_of(request, key)
    body = as_known_to_workers(services, body)

    async def submit() -> Submitted:
        await services.entry.check_space()
        await check_told(services, caller.account_id, body)
        if body.url is not None:
            services.entry.check_url(body.url)
            return await services.submits.import_one(caller.account_id, body, repeat)
        if len(body.urls or []) > services.entry.limits.batch_urls:
            raise TooManyFiles(f"At most {services.entry.limits.batch_urls} addresses a call.")
        items = [
            _checked(services, item, entry)
            for item, entry in zip(body.items(), body.urls or [], strict=True)
        ]
        return await services.submits.import_many(caller.account_id, body, items, repeat)

    made = await services.submits.once(caller.account_id, repeat, submit)
    return await answer_submit(request, services, caller.account_id, made)


@router.post(
    "/upload/batch",
    **submits(
        documents.SubmittedBatch,
        problems=(*SUBMIT_PROBLEMS, TooManyFiles, MediaEmpty),
        form=form(UploadBatch, file="files", many=True),
    ),
)
async def upload_batch(
    request: Request, caller: JobWriter, services: Parts, key: IdempotencyKey = None
) -> Response:
    """Make a 3D model of each uploaded picture. All are checked before any job is queued."""
    limits = services.entry.limits
    async with received(
        request,
        folder=services.entry.scratch,
        field="files",
        max_files=limits.batch_files,
        max_file_bytes=limits.file_bytes,
    ) as (uploads, fields):
        wanted = bodies.parse(UploadBatch, read_fields(fields))
        repeat = _repeat_of_form(request, key, uploads, fields)
        # A repeated request needs no storage for its files.
        made = await services.submits.made_before(caller.account_id, repeat)
        if made is None:
            await services.entry.check_space()
            services.submits.check_3d(caller.account_id, wanted)
            await check_told(services, caller.account_id, wanted)
            rows = await _keep(services, caller.account_id, uploads)
            made = await services.submits.make_3d(caller.account_id, wanted, rows, repeat)
    return await answer_submit(request, services, caller.account_id, made)


async def _keep(services: Services, account_id: str, uploads: list[Upload]) -> list[NewAsset]:
    """Check every picture, then store all; one bad picture fails the request."""
    facts = await asyncio.gather(
        *(services.entry.intake.inspect(upload.path, account_id) for upload in uploads),
        return_exceptions=True,
    )
    problems: list[JsonObject] = []
    for index, (upload, found) in enumerate(zip(uploads, facts, strict=True)):
        if isinstance(found, SafelightError):
            problems.append(_file_problem(index, upload, found.code, found.detail))
        elif isinstance(found, BaseException):
            raise found
        elif found.media_type not in BATCH_MEDIA_TYPES:
            detail = f"It is {found.media_type}; jpg, png and webp are taken."
            problems.append(_file_problem(index, upload, "media_unsupported", detail))
    if problems:
        raise InvalidRequest("Some files cannot be taken; nothing was queued.", errors=problems)
    return [
        await services.entry.intake.keep_private(upload.path, found, upload.name, account_id)
        for upload, found in zip(uploads, facts, strict=True)
        if not isinstance(found, BaseException)
    ]


def _file_problem(index: int, upload: Upload, code: str, detail: str) -> JsonObject:
    return {"field": f"files.{index}", "name": upload.name, "code": code, "message": detail}


async def check_told(services: Services, account_id: str, wanted: Submission) -> None:
    """Check that the webhook URL is allowed and that the named contacts exist."""
    if wanted.webhook_url:
        _check_address(services, "webhook_url", wanted.webhook_url)
        await services.webhooks.default(account_id)
    if wanted.notify:
        await services.contacts.check_named(account_id, wanted.notify)


def as_known_to_workers(services: Services, body: Body) -> Body:
    """Return a body in which this server's own files have the configured URLs."""
    links = services.links

    def rewritten(value: Any) -> Any:
        match value:
            case str():
                return links.canonical(value)
            case list():
                return [rewritten(each) for each in cast("list[Any]", value)]
            case dict():
                named = cast("JsonObject", value)
                return {name: rewritten(each) for name, each in named.items()}
            case BaseModel():
                present = _SOURCES & value.model_fields_set
                return value.model_copy(
                    update={name: rewritten(getattr(value, name)) for name in present}
                )
            case _:
                return value

    return rewritten(body) if links.configured else body


def check_source(services: Services, field: str, source: str) -> None:
    """Raise `InvalidRequest` for a URL that must not be fetched."""
    if not source.startswith("ast_"):
        _check_address(services, field, source)


def _check_address(services: Services, field: str, address: str) -> None:
    try:
        services.entry.check_url(address)
    except SafelightError as error:
        raise InvalidRequest(
            errors=[{"field": field, "message": error.detail, "code": error.code}]
        ) from None


def _checked(
    services: Services, item: ImportItem | InvalidRequest, entry: object
) -> ImportItem | Refused:
    """Return the item if its URL is allowed, else the error of its entry.

    The entry's name, its URL, is stored and shown: without a password or a signature.
    """
    is_object = isinstance(entry, Mapping)
    url = str(cast("Mapping[str, object]", entry).get("url") if is_object else entry)
    name = telemetry.without_secrets(url)[:_MAX_NAME]
    try:
        if isinstance(item, InvalidRequest):
            raise item
        services.entry.check_url(item.url)
    except SafelightError as error:
        return Refused(name, error.problem())
    return item


async def repeat_of(request: Request, key: str | None) -> Repeat | None:
    """Return the fingerprint of a JSON request: equal members in any order are equal."""
    if not key:
        return None
    body = canonical(await request.json())
    return Repeat(key, idempotency.fingerprint(request.method, request.url.path, body))


def _repeat_of_form(
    request: Request, key: str | None, uploads: list[Upload], fields: dict[str, str]
) -> Repeat | None:
    """Fingerprint a form by its parts, because the multipart boundary differs each time."""
    if not key:
        return None
    parts = [canonical(read_fields(fields))]
    parts += [f"{upload.name}\n{upload.sha256}".encode() for upload in uploads]
    return Repeat(key, idempotency.fingerprint(request.method, request.url.path, *parts))
