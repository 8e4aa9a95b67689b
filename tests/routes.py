"""The calls of every route, each with the right that it needs: every route needs an entry here."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from safelight.accounts import signing
from safelight.web.pages import PEOPLE
from tests import pictures
from tests.household import HOOK, KEPT

JSON = dict[str, Any]
_OK = frozenset(range(200, 400))
_MISSING = frozenset({404})
_REFUSED = frozenset(range(400, 500)) - {401, 405}
PICTURE = ("picture.png", pictures.picture("png"), "image/png")


class Right(Enum):
    """The right that a call needs."""

    OWNER = auto()  # whose the named things are; they do not exist for others
    MEMBER = auto()  # anybody with a key, who gets their own
    ADMIN = auto()  # of the installation
    NOTHING = auto()  # the call does the same for everybody; `expected` says what


@dataclass(frozen=True)
class Call:
    """One request. `expected` are the statuses that who has the right may get.

    `refusal` are those of a stranger where an owner is needed.
    """

    path: str
    right: Right = Right.OWNER
    json: Any = None
    files: Any = None
    params: Mapping[str, Any] | None = None
    expected: frozenset[int] = _OK
    refusal: frozenset[int] = _MISSING
    may_read: bool = False  # a key that only reads may do it, though it is no GET


def names(app: FastAPI) -> Iterator[str]:
    """Yield each route as `METHOD path`; a folder of files is `FILES path`."""
    for route in iter_route_contexts(app.routes):
        yield from (f"{method} {route.path}" for method in route.methods or ("FILES",))


def calls(things: Mapping[str, str], stranger_key: str) -> dict[str, list[Call]]:
    """Return what to ask of each route, in an order in which all of it goes.

    `things` are the owner's, by name, and `stranger_key` is the signing key of somebody else.
    """
    parts = (
        _files(things, stranger_key),
        _batches(things),
        _jobs(things),
        _submits(things),
        _assets(things),
        _webhooks(things),
        _contacts(things),
        _keys(things),
        _people(things),
        _operations(things),
        _open(things),
    )
    found: dict[str, list[Call]] = {}
    for part in parts:
        assert not found.keys() & part.keys()
        found |= part
    return found


def _none(*statuses: int) -> dict[str, Any]:
    return {"right": Right.NOTHING, "expected": frozenset(statuses)}


def _own(path: str, **more: Any) -> Call:
    return Call(path, Right.MEMBER, **more)


def _files(things: Mapping[str, str], stranger_key: str) -> dict[str, list[Call]]:
    private, public = things["key private"], things["key public"]
    until = int(time.time()) + 600

    def signed(key: str, *parameters: str) -> str:
        query = "&".join(parameters)
        return f"/files/{key}?{query}&sig={signing.sign(stranger_key, f'{key}?{query}')}"

    refused = [
        Call(f"/files/{private}", **_none(403)),
        Call(f"/files/{private}?until={until}", **_none(403)),
        Call(signed(private, f"until={until}"), **_none(403)),
        Call(f"/files/{private}?w=10&until={until}", **_none(403)),
        Call(signed(private, "w=10", f"until={until}"), **_none(403)),
        Call(signed(private, "w=10"), **_none(403)),
        Call(f"/files/{public}?w=10", **_none(403)),
        Call(signed(public, "w=10"), **_none(403)),
        Call(f"/files/{things['original private']}", **_none(404)),
        Call(f"/files/deleted/{things['key restorable']}", **_none(404)),
        Call(f"/files/{things['key restorable']}", **_none(404)),
        Call(f"/files/../{private}", **_none(403, 404)),
    ]
    whole = Call(f"/files/{public}", **_none(200))
    return {"GET /files/{key:path}": [*refused, whole], "HEAD /files/{key:path}": [*refused, whole]}


def _jobs(things: Mapping[str, str]) -> dict[str, list[Call]]:
    done, waiting, failed = things["job done"], things["job waiting"], things["job failed"]
    lists = [{}, {"batch_id": things["batch done"]}, {"cursor": waiting}, {"status": "failed"}]
    return {
        "GET /v1/jobs": [_own("/v1/jobs", params=query) for query in lists],
        "GET /v1/jobs/{job_id}": [Call(f"/v1/jobs/{done}")],
        "GET /v1/result/{job_id}": [Call(f"/v1/result/{done}")],
        "GET /v1/status/{job_id}": [Call(f"/v1/status/{done}")],
        "GET /v1/jobs/{job_id}/attempts": [Call(f"/v1/jobs/{done}/attempts")],
        "GET /v1/jobs/{job_id}/events": [Call(f"/v1/jobs/{done}/events")],
        "GET /v1/jobs/{job_id}/download": [Call(f"/v1/jobs/{done}/download")],
        "POST /v1/jobs/{job_id}/cancel": [Call(f"/v1/jobs/{waiting}/cancel")],
        "POST /v1/jobs/{job_id}/redrive": [Call(f"/v1/jobs/{failed}/redrive")],
        "DELETE /v1/jobs/{job_id}": [
            Call(f"/v1/jobs/{things['job old']}"),
            Call(f"/v1/jobs/{done}?now=true"),
        ],
        "POST /v1/jobs/redrive": [_own("/v1/jobs/redrive", json={"error": "nothing such"})],
    }


def _batches(things: Mapping[str, str]) -> dict[str, list[Call]]:
    done, opened, bad = things["batch done"], things["batch open"], things["batch bad"]
    return {
        "GET /v1/batches": [_own("/v1/batches"), _own(f"/v1/batches?cursor={opened}")],
        "GET /v1/batches/{batch_id}": [Call(f"/v1/batches/{done}")],
        "PATCH /v1/batches/{batch_id}": [Call(f"/v1/batches/{done}", json={"name": KEPT})],
        "GET /v1/batches/{batch_id}/events": [Call(f"/v1/batches/{done}/events")],
        "GET /v1/batches/{batch_id}/download": [
            Call(f"/v1/batches/{done}/download", expected=_OK | {409})
        ],
        "POST /v1/batches/{batch_id}/cancel": [Call(f"/v1/batches/{opened}/cancel")],
        "POST /v1/batches/{batch_id}/redrive": [Call(f"/v1/batches/{bad}/redrive")],
    }


def _submits(things: Mapping[str, str]) -> dict[str, list[Call]]:
    """Others' things are named in bodies, where they are as unknown as in addresses."""
    asset, address = things["asset public"], f"{HOOK}.png"
    told = {"notify": [things["contact"]]}
    refused: dict[str, Any] = {"refusal": _REFUSED, "expected": _OK | {422}}

    def generate(**body: Any) -> Call:
        return Call("/v1/generate", json={"prompt": "a cat", "model": "fake", **body}, **refused)

    return {
        "POST /v1/generate": [
            _own("/v1/generate", json={"prompt": "a cat", "model": "fake"}),
            generate(references=[asset]),
            generate(references=[asset], mask=asset),
            generate(**told),
        ],
        "POST /v1/images": [
            _own("/v1/images", json={"url": address}),
            Call("/v1/images", json={"url": address, **told}, **refused),
            Call("/v1/images", json={"urls": [address], **told}, **refused),
        ],
        "POST /v1/batches": [
            Call("/v1/batches", json={"items": [asset]}, **refused),
            Call("/v1/batches", json={"items": [{"front": asset, "back": asset}]}, **refused),
            Call("/v1/batches", json={"items": [address], **told}, **refused),
        ],
        "POST /v1/upload/batch": [
            _own("/v1/upload/batch", files=[("files", PICTURE)]),
            Call(
                "/v1/upload/batch",
                files=[("files", PICTURE), ("notify", (None, f'["{told["notify"][0]}"]'))],
                **refused,
            ),
        ],
    }


def _assets(things: Mapping[str, str]) -> dict[str, list[Call]]:
    asset, private = things["asset public"], things["asset private"]
    at = f"/v1/assets/{asset}"
    lists: list[JSON] = [
        {"q": KEPT},
        {"job_id": things["job done"]},
        {"external_id": KEPT},
        {"facets": "kind,format,tag,host,model"},
        {"cursor": "100000"},
    ]
    return {
        "POST /v1/uploads": [_own("/v1/uploads", files={"file": PICTURE})],
        "GET /v1/assets": [_own("/v1/assets", params=query) for query in lists],
        "GET /v1/assets/{asset_id}": [Call(at), Call(f"/v1/assets/{private}")],
        "GET /v1/assets/{asset_id}/similar": [Call(f"{at}/similar?distance=16")],
        "GET /v1/assets/{asset_id}/renditions": [
            Call(f"{at}/renditions?w=10"),
            Call(f"/v1/assets/{private}/renditions?w=10"),
        ],
        "GET /v1/assets/{asset_id}/formats/{form}": [
            Call(f"/v1/assets/{things['asset model']}/formats/stl")
        ],
        "PATCH /v1/assets/{asset_id}": [
            Call(at, json={"caption": KEPT}),
            Call(f"/v1/assets/{private}", json={"visibility": "public"}),
        ],
        "PUT /v1/assets/{asset_id}/hold": [Call(f"{at}/hold", json={"reason": KEPT})],
        "DELETE /v1/assets/{asset_id}/hold": [
            Call(f"/v1/assets/{things['asset held']}/hold"),
        ],
        "DELETE /v1/assets/{asset_id}": [
            Call(f"/v1/assets/{things['asset doomed']}"),
            Call(f"/v1/assets/{things['asset output']}?now=true", expected=_OK | {404}),
        ],
        "GET /v1/trash": [_own("/v1/trash"), _own("/v1/trash?cursor=zzz")],
        "POST /v1/trash/{asset_id}/restore": [
            Call(f"/v1/trash/{things['asset restorable']}/restore")
        ],
        "DELETE /v1/trash/{asset_id}": [Call(f"/v1/trash/{things['asset purgeable']}")],
        "GET /v1/audit": [_own("/v1/audit"), _own(f"/v1/audit?subject={things['asset held']}")],
        "GET /v1/usage/storage": [_own("/v1/usage/storage")],
    }


def _webhooks(things: Mapping[str, str]) -> dict[str, list[Call]]:
    at = f"/v1/webhooks/{things['endpoint']}"
    sent = f"{at}/deliveries/{things['delivery']}"
    one = "/v1/webhooks/{endpoint_id}"
    return {
        "POST /v1/webhooks": [_own("/v1/webhooks", json={"url": HOOK})],
        "GET /v1/webhooks": [_own("/v1/webhooks")],
        "GET /v1/webhooks/default/secret": [_own("/v1/webhooks/default/secret")],
        f"GET {one}": [Call(at)],
        f"PATCH {one}": [Call(at, json={"thin": True})],
        f"POST {one}/rotate": [Call(f"{at}/rotate")],
        f"POST {one}/test": [Call(f"{at}/test")],
        f"GET {one}/deliveries": [Call(f"{at}/deliveries")],
        f"GET {one}/deliveries/{{delivery_id}}": [Call(sent)],
        f"POST {one}/deliveries/{{delivery_id}}/redeliver": [Call(f"{sent}/redeliver")],
        f"POST {one}/redeliver": [Call(f"{at}/redeliver", json={"since": "2026-01-01T00:00:00Z"})],
        f"DELETE {one}": [Call(f"/v1/webhooks/{things['endpoint gone']}")],
    }


def _contacts(things: Mapping[str, str]) -> dict[str, list[Call]]:
    at, gone = f"/v1/contacts/{things['contact']}", f"/v1/contacts/{things['contact gone']}"
    one = "/v1/contacts/{contact_id}"
    page = f"/contacts/{things['contact']}"
    token, other = things["token of contact"], things["code of contact gone"]
    # By link, the secret alone decides: the owner's key changes nothing.
    to_confirm = [Call(f"{page}/confirm?code={code}", **_none(404)) for code in ("x", other, token)]
    to_stop = [
        Call(f"{page}/stop?token={given}", **_none(404))
        for given in ("x", other, things["token of contact gone"])
    ]
    return {
        "POST /v1/contacts": [
            _own("/v1/contacts", json={"channel": "email", "address": "me@example.com"})
        ],
        "GET /v1/contacts": [_own("/v1/contacts")],
        f"GET {one}": [Call(at)],
        f"PATCH {one}": [Call(at, json={"digest": True})],
        f"POST {one}/code": [Call(f"{gone}/code")],
        "GET /contacts/{contact_id}/confirm": to_confirm,
        "POST /contacts/{contact_id}/confirm": to_confirm,
        "GET /contacts/{contact_id}/stop": to_stop,
        "POST /contacts/{contact_id}/stop": to_stop,
        f"POST {one}/confirm": [Call(f"{at}/confirm", json={"code": things["code of contact"]})],
        f"POST {one}/test": [Call(f"{at}/test")],
        f"GET {one}/notices": [Call(f"{at}/notices")],
        f"DELETE {one}": [Call(gone)],
    }


def _keys(things: Mapping[str, str]) -> dict[str, list[Call]]:
    at, gone = f"/v1/keys/{things['API key']}", f"/v1/keys/{things['API key gone']}"
    return {
        "POST /v1/keys": [_own("/v1/keys", json={"name": "my shop"})],
        "GET /v1/keys": [_own("/v1/keys"), _own(f"/v1/keys?cursor={things['API key gone']}")],
        "GET /v1/keys/{key_id}": [Call(at)],
        "POST /v1/keys/{key_id}/rotate": [Call(f"{at}/rotate", json={})],
        "DELETE /v1/keys/{key_id}": [Call(gone)],
    }


def _people(things: Mapping[str, str]) -> dict[str, list[Call]]:
    member, invited = things["member"], things["invitation"]
    email, long = "ada@example.com", "a long enough password"
    known = {"current_password": long}

    def person(path: str, json: Any = None) -> list[Call]:
        # An API key is no person's session.
        return [Call(f"/v1/auth/{path}", json=json, **_none(401))]

    def link(path: str, json: JSON, status: int = 403) -> list[Call]:
        return [Call(f"/v1/{path}", json=json, **_none(status))]

    token = {"token": "tok_nothing"}
    return {
        "GET /v1/members": [_own("/v1/members"), _own(f"/v1/members?cursor={member}")],
        "PATCH /v1/members/{user_id}": [Call(f"/v1/members/{member}", json={"role": "viewer"})],
        "DELETE /v1/members/{user_id}": [Call(f"/v1/members/{things['member gone']}")],
        "POST /v1/invitations": [_own("/v1/invitations", json={"email": email})],
        "GET /v1/invitations": [_own("/v1/invitations")],
        "DELETE /v1/invitations/{invitation_id}": [Call(f"/v1/invitations/{invited}")],
        "POST /v1/invitations/look": link("invitations/look", token),
        "POST /v1/invitations/accept": link("invitations/accept", {**token, "password": long}),
        "POST /v1/invitations/join": link("invitations/join", token, 401),
        "POST /v1/auth/login": link("auth/login", {"email": email, "password": long}, 401),
        "POST /v1/auth/login/second-step": link(
            "auth/login/second-step", {**token, "code": "123456"}, 401
        ),
        "GET /v1/auth/providers": [Call("/v1/auth/providers", **_none(200))],
        "GET /auth/oidc/{provider}/start": [Call("/auth/oidc/none/start", **_none(303))],
        "GET /auth/oidc/{provider}/connect": [Call("/auth/oidc/none/connect", **_none(401))],
        "GET /auth/oidc/{provider}/callback": [Call("/auth/oidc/none/callback", **_none(303))],
        "POST /v1/auth/forgotten": link("auth/forgotten", {"email": email}, 202),
        "POST /v1/auth/reset": link("auth/reset", {**token, "password": long}),
        "POST /v1/auth/email/confirm": link("auth/email/confirm", token),
        "POST /v1/auth/switch": person("switch", {"account_id": things["account"]}),
        "GET /v1/auth/me": person("me"),
        "GET /v1/auth/sessions": person("sessions"),
        "DELETE /v1/auth/sessions": person("sessions"),
        "DELETE /v1/auth/sessions/{session_id}": person(f"sessions/{things['session']}"),
        "POST /v1/auth/password": person("password", {**known, "new_password": long}),
        "POST /v1/auth/email": person("email", {**known, "email": email}),
        "POST /v1/auth/totp": person("totp", known),
        "POST /v1/auth/totp/confirm": person("totp/confirm", {"code": "123456"}),
        "POST /v1/auth/totp/recovery-codes": person("totp/recovery-codes", known),
        "POST /v1/auth/totp/disable": person("totp/disable", known),
    }


def _operations(things: Mapping[str, str]) -> dict[str, list[Call]]:
    def admin(path: str, **more: Any) -> list[Call]:
        return [Call(f"/v1/admin/{path}", Right.ADMIN, **more)]

    account, gone = f"accounts/{things['account']}", f"accounts/{things['account gone']}"
    one = "/v1/admin/accounts/{account_id}"
    return {
        "GET /v1/admin/lanes": admin("lanes"),
        "GET /v1/admin/workers": admin("workers"),
        "POST /v1/admin/lanes/{name}/pause": admin("lanes/remote/pause"),
        "POST /v1/admin/lanes/{name}/resume": admin("lanes/remote/resume"),
        "GET /v1/admin/dead-letters": admin(f"dead-letters?account_id={things['account']}"),
        "POST /v1/admin/dead-letters/redrive": admin(
            "dead-letters/redrive", json={"account_id": things["account"]}
        ),
        "POST /v1/admin/accounts": admin("accounts", json={"name": "ann"}),
        "GET /v1/admin/accounts": admin("accounts"),
        f"GET {one}": admin(account),
        f"PATCH {one}": admin(account, json={"max_in_flight": 9}),
        f"POST {one}/suspend": admin(f"{gone}/suspend", json={"reason": "unpaid"}),
        f"POST {one}/resume": admin(f"{gone}/resume"),
        f"DELETE {one}": admin(gone),
        "GET /v1/admin/users": admin("users"),
        "POST /v1/admin/users": admin("users", json={"email": "new@example.com"}),
        "PATCH /v1/admin/users/{user_id}": admin(
            f"users/{things['member']}", json={"operator": True}
        ),
        "POST /v1/admin/users/{user_id}/reset-link": admin(f"users/{things['member']}/reset-link"),
        "POST /v1/admin/checks": admin("checks"),
        "POST /v1/admin/checks/{provider}": admin("checks/fake"),
    }


def _open(things: Mapping[str, str]) -> dict[str, list[Call]]:
    token = things["callback token"]
    callbacks = [f"link/{token}", f"fake/{token}x", f"fake/{token.partition('.')[0]}", "fake/x.y"]
    pages = {
        "GET /": "/",
        "GET /docs": "/docs",
        "GET /favicon.ico": "/favicon.ico",
        "GET /openapi.json": "/openapi.json",
        "HEAD /openapi.json": "/openapi.json",
        "FILES /static": "/static/index.html",
        **{f"GET /{name}": f"/{name}" for name in PEOPLE},
        "GET /health/live": "/health/live",
        "GET /health/ready": "/health/ready",
        "GET /problems/{code}": "/problems/not_found",
    }
    return {
        "POST /callbacks/{provider}/{token}": [
            Call(f"/callbacks/{path}", json={}, **_none(404)) for path in callbacks
        ],
        "GET /login": [Call("/login?token=sk_nothing", **_none(303))],
        "POST /v1/session": [Call("/v1/session", json={"key": "sk_nothing"}, **_none(401))],
        "DELETE /v1/session": [Call("/v1/session", **_none(401))],  # an API key is no session
        "GET /metrics": [Call("/metrics", Right.ADMIN)],  # a public URL is set
        "POST /v1/login-links": [_own("/v1/login-links")],
        "GET /v1/account": [_own("/v1/account")],
        "PATCH /v1/account": [_own("/v1/account", json={"visibility": "private"})],
        "GET /v1/account/signing-key": [_own("/v1/account/signing-key")],
        "GET /v1/models": [_own("/v1/models")],
        **{name: [Call(path, **_none(200))] for name, path in pages.items()},
    }
