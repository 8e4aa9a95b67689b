"""Routes for API keys."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field

from safelight import documents
from safelight.accounts.account import Key
from safelight.accounts.errors import KeyEnded, ScopeNotHeld, TooManyKeys
from safelight.accounts.keys import Issued
from safelight.accounts.scopes import MEMBER_SCOPES, PATTERNS, Scopes, expand
from safelight.jobs.fields import STRICT, Label
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, cursor_after
from safelight.web.auth import AccountReader, AccountWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/keys", tags=["account"])

_DAY_S = 86_400
NO_STORE = {"Cache-Control": "no-store"}


def _known(patterns: list[str]) -> list[str]:
    expand(patterns)
    return patterns


Patterns = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(
        min_length=1,
        max_length=32,
        description=f"Scopes; an area's `*` means all of it. One of {', '.join(PATTERNS)}.",
    ),
    AfterValidator(_known),
]


class NewKey(BaseModel):
    """Body of `POST /v1/keys`."""

    model_config = STRICT

    name: Label = Field(description="Where the key is used.")
    scopes: Patterns = sorted(MEMBER_SCOPES)
    expires_in_s: float | None = Field(
        None, ge=60, le=10 * 366 * _DAY_S, description="Lifetime in seconds; null: unlimited."
    )
    rate_per_s: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Requests per second, per API process; bursts of twice that. Null: unlimited.",
    )


class RotateKey(BaseModel):
    """Body of `POST /v1/keys/{id}/rotate`."""

    model_config = STRICT

    overlap_s: float = Field(
        _DAY_S, ge=0, le=30 * _DAY_S, description="How long the old key stays valid, in seconds."
    )


@router.post("", **returns(documents.KeyWithSecret, ScopeNotHeld, TooManyKeys, status=201))
async def create_key(body: NewKey, caller: AccountWriter, services: Parts) -> Response:
    """Create an API key. Its secret is shown only here."""
    scopes = expand(body.scopes)
    _check_held(scopes, caller.scopes)
    made = await services.access.keys.create(
        caller.account_id,
        body.name,
        scopes=scopes,
        valid_for=None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s),
        rate_per_s=body.rate_per_s,
        actor=caller.key_id,
    )
    return json_response(with_secret(made), 201, NO_STORE)


@router.get("", **returns(documents.KeyList))
async def list_keys(
    caller: AccountReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the account's API keys, newest first; ended ones for 30 days."""
    found = await services.access.keys.page(caller.account_id, before=cursor, limit=limit + 1)
    shown = [_document(each) for each in found[:limit]]
    document: documents.KeyList = {
        "data": shown,
        "next_cursor": cursor_after(shown, more=len(found) > limit),
    }
    return json_response(document)


@router.get("/{key_id}", **returns(documents.Key))
async def get_key(key_id: str, caller: AccountReader, services: Parts) -> Response:
    """Return one API key."""
    return json_response(_document(await services.access.keys.get(caller.account_id, key_id)))


@router.post(
    "/{key_id}/rotate", **returns(documents.KeyWithSecret, KeyEnded, ScopeNotHeld, status=201)
)
async def rotate_key(
    key_id: str, body: RotateKey, caller: AccountWriter, services: Parts
) -> Response:
    """Replace an API key. The old one stays valid for `overlap_s`, a day by default."""
    old = await services.access.keys.get(caller.account_id, key_id)
    _check_held(old.scopes, caller.scopes)
    made = await services.access.keys.rotate(
        caller.account_id,
        key_id,
        overlap=timedelta(seconds=body.overlap_s),
        actor=caller.key_id,
    )
    return json_response(with_secret(made), 201, NO_STORE)


@router.delete("/{key_id}", **returns(None, status=204))
async def revoke_key(key_id: str, caller: AccountWriter, services: Parts) -> Response:
    """Revoke an API key, with the sessions that it opened; open streams end within seconds."""
    await services.access.keys.revoke(caller.account_id, key_id, actor=caller.key_id)
    return Response(status_code=204)


def _check_held(wanted: Scopes, held: Scopes) -> None:
    if missing := wanted - held:
        raise ScopeNotHeld(f"Your key lacks {', '.join(sorted(missing))}.")


def _document(key: Key) -> documents.Key:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": sorted(scope.value for scope in key.scopes),
        "rate_per_s": key.rate_per_s,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "last_used_from": key.last_used_from or None,
    }


def with_secret(made: Issued) -> documents.KeyWithSecret:
    """Return the document of a new key with its secret."""
    return {**_document(made.key), "key": made.secret}
