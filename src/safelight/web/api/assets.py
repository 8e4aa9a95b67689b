"""Routes for assets: upload, search, read, change, delete."""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response

from safelight import documents
from safelight.assets.asset import AssetKind
from safelight.assets.errors import OnHold, ShowsNothing
from safelight.assets.index.terms import Filter
from safelight.assets.index.words import MAX_QUERY, TextQuery, parse
from safelight.assets.intake import Origin
from safelight.assets.search import FACETS, Facets
from safelight.assets.view import asset_document
from safelight.cpu import OutOfResources
from safelight.errors import InvalidRequest, StorageFull
from safelight.jobs import bodies
from safelight.jobs.bodies import AssetChange, Hold, UploadFields
from safelight.jobs.fields import Time
from safelight.json_object import JsonObject
from safelight.media.errors import (
    MediaEmpty,
    MediaError,
    MediaTooManyPixels,
    MediaTruncated,
    MediaUnsupported,
)
from safelight.web.answers import conditional_response, json_response
from safelight.web.api.jobs import Limit
from safelight.web.auth import AdminWriter, AssetReader, AssetWriter, Parts
from safelight.web.contract import form, returns
from safelight.web.errors import TooManyFiles
from safelight.web.json_route import JsonRoute
from safelight.web.uploads import read_fields, received

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["assets"])

_Text = Annotated[str | None, Query(max_length=255)]
_Pixels = Annotated[int | None, Query(ge=1, le=1_000_000)]
_MAX_DISTANCE = 16  # of 64 bits; pictures that differ in more are not alike


@router.post(
    "/uploads",
    **returns(
        documents.Asset,
        TooManyFiles,
        MediaError,
        MediaEmpty,
        MediaUnsupported,
        MediaTruncated,
        MediaTooManyPixels,
        OutOfResources,
        StorageFull,
        status=201,
        headers=["Location"],
        form=form(UploadFields, file="file"),
    ),
)
async def upload_asset(request: Request, caller: AssetWriter, services: Parts) -> Response:
    """Upload one picture, to show or to use as a reference."""
    await services.entry.check_space()
    async with received(
        request,
        folder=services.entry.scratch,
        field="file",
        max_files=1,
        max_file_bytes=services.entry.limits.upload_bytes,
    ) as (uploads, fields):
        said = bodies.parse(UploadFields, read_fields(fields))
        sent = uploads[0]
        values = said.model_dump()
        if "visibility" not in said.model_fields_set:
            account = await services.accounts.get(caller.account_id)
            values["visibility"] = account.visibility
        origin = Origin(caller.account_id, **values)
        row = await services.entry.intake.keep_picture(
            sent.path, origin, sanitize=True, name=sent.name
        )
        asset = await services.assets.add(row)
    document = asset_document(asset, services.links)
    return json_response(document, 201, {"Location": f"/v1/assets/{asset.id}"})


@router.get("/assets", **returns(documents.AssetList, conditional=True))
async def list_assets(
    request: Request,
    caller: AssetReader,
    services: Parts,
    *,
    q: Annotated[
        str | None,
        Query(max_length=MAX_QUERY, description='Words, `"a phrase"`, `-without`, `prefix*`.'),
    ] = None,
    kind: AssetKind | None = None,
    form: Annotated[str | None, Query(alias="format", max_length=16)] = None,
    tag: Annotated[list[str], Query(max_length=16, description="All of them.")] = [],  # noqa: B006
    host: Annotated[
        str | None, Query(max_length=255, description="Imported from this host or its subdomains.")
    ] = None,
    job_id: _Text = None,
    external_id: _Text = None,
    min_width: _Pixels = None,
    max_width: _Pixels = None,
    min_height: _Pixels = None,
    max_height: _Pixels = None,
    created_after: Time | None = None,
    created_before: Time | None = None,
    facets: Annotated[
        str | None, Query(max_length=64, description=f"Counts of: {', '.join(FACETS)}.")
    ] = None,
    limit: Limit = 50,
    cursor: Annotated[
        str | None, Query(pattern=r"^\d{1,18}$", description="`next_cursor` of the previous page.")
    ] = None,
) -> Response:
    """Return the matching pictures and 3D models, newest first."""
    wanted = Filter(
        text=_text(q),
        kind=kind,
        format=form,
        tags=tuple(tag),
        host=host,
        job_id=job_id,
        external_id=external_id,
        min_width=min_width,
        max_width=max_width,
        min_height=min_height,
        max_height=max_height,
        created_after=created_after,
        created_before=created_before,
    )
    names = _facet_names(facets)
    before = int(cursor) if cursor else None
    found = await services.assets.page(caller.account_id, wanted, before=before, limit=limit + 1)
    shown = found[:limit]
    document: documents.AssetList = {
        "data": [asset_document(asset, services.links) for asset in shown],
        "next_cursor": str(shown[-1].number) if len(found) > limit else None,
    }
    if names:
        counted = await services.assets.facets(caller.account_id, wanted, names)
        document["facets"] = _facets_document(counted)
    return conditional_response(request, document)


@router.get("/assets/{asset_id}", **returns(documents.Asset, conditional=True))
async def get_asset(
    request: Request, asset_id: str, caller: AssetReader, services: Parts
) -> Response:
    """Return one asset with all its facts."""
    asset = await services.assets.get(caller.account_id, asset_id)
    return conditional_response(request, asset_document(asset, services.links))


@router.get("/assets/{asset_id}/similar", **returns(documents.SimilarAssetList, conditional=True))
async def list_similar_assets(
    request: Request,
    asset_id: str,
    caller: AssetReader,
    services: Parts,
    distance: Annotated[
        int, Query(ge=0, le=_MAX_DISTANCE, description="Maximum distance, in bits of 64.")
    ] = 7,
    limit: Limit = 20,
) -> Response:
    """Return similar pictures, nearest first."""
    found = await services.assets.similar(
        caller.account_id, asset_id, distance=distance, limit=limit
    )
    data: list[documents.SimilarAsset] = [
        {**asset_document(asset, services.links), "distance": bits} for asset, bits in found
    ]
    document: documents.SimilarAssetList = {"data": data, "next_cursor": None}
    return conditional_response(request, document)


@router.patch("/assets/{asset_id}", **returns(documents.Asset, ShowsNothing, StorageFull))
async def change_asset(
    asset_id: str, body: AssetChange, caller: AssetWriter, services: Parts
) -> Response:
    """Change an asset; omitted fields stay."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidRequest("There is nothing to change.")
    visibility = values.pop("visibility", None)
    if visibility is not None:
        await services.visibility.change(
            caller.account_id, asset_id, visibility, actor=caller.key_id
        )
    asset = await services.assets.change(caller.account_id, asset_id, values)
    return json_response(asset_document(asset, services.links))


@router.delete("/assets/{asset_id}", **returns(documents.Deleted, OnHold, StorageFull))
async def delete_asset(
    asset_id: str,
    caller: AssetWriter,
    services: Parts,
    *,
    now: Annotated[bool, Query(description="Delete permanently, bypassing the trash.")] = False,
) -> Response:
    """Delete an asset and its renditions; it stays in the trash until `purge_at`.

    Its URLs stop working at once.
    """
    until = await services.trash.put(caller.account_id, asset_id, actor=caller.key_id, now=now)
    document: documents.Deleted = {
        "id": asset_id,
        "assets": [asset_id] if until else [],
        "purge_at": until,
    }
    return json_response(document)


@router.put("/assets/{asset_id}/hold", **returns(documents.Asset))
async def hold_asset(asset_id: str, body: Hold, caller: AdminWriter, services: Parts) -> Response:
    """Place an asset under legal hold: it neither expires nor can be deleted until released."""
    asset = await services.assets.hold(
        caller.account_id, asset_id, body.reason, actor=caller.key_id
    )
    return json_response(asset_document(asset, services.links))


@router.delete("/assets/{asset_id}/hold", **returns(documents.Asset))
async def release_asset(asset_id: str, caller: AdminWriter, services: Parts) -> Response:
    """Release an asset from its legal hold."""
    asset = await services.assets.hold(caller.account_id, asset_id, "", actor=caller.key_id)
    return json_response(asset_document(asset, services.links))


def _text(q: str | None) -> TextQuery:
    text = parse(q or "")
    if q and not (text.wanted or text.unwanted):
        raise InvalidRequest(errors=[{"field": "q", "message": "holds no word"}])
    return text


def _facet_names(text: str | None) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else []
    if unknown := set(names) - set(FACETS):
        message = f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(FACETS)}"
        raise InvalidRequest(errors=[{"field": "facets", "message": message}])
    return names


def _facets_document(counted: Facets) -> documents.Facets:
    found: JsonObject = {
        "counted": counted.counted,
        "complete": counted.is_complete,
        **{
            name: [{"value": value, "count": count} for value, count in counts]
            for name, counts in counted.counts.items()
        },
    }
    return cast("documents.Facets", found)
