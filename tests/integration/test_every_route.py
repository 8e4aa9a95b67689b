"""Every route, walked by who has no right to it and by who has: no leak, no change, safe headers.

The routes come from the application itself, and each needs an entry in `tests/routes.py`.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import reduce
from typing import Any, cast
from urllib.parse import parse_qs

import httpx2
import pytest

from safelight import ids
from safelight.accounts.account import Credential
from safelight.accounts.scopes import MEMBER_SCOPES, OWNER_SCOPES
from safelight.web import server
from tests import documented
from tests.household import HOOK, KEPT, Household, household
from tests.routes import PICTURE, Call, Right, calls, names

READS = ("GET", "HEAD", "FILES")
LEAST_STREAMS = 2
DATA = ("/v1/", "/problems/", "/callbacks/", "/health", "/metrics")
CORP = {"same-origin", "cross-origin"}
LEAST_NAMED = 40
_NOT_BY_KEY = ("/v1/admin/", "/v1/auth/")  # of operators; of people, see test_logins.py
_READS = tuple(scope for scope in MEMBER_SCOPES if scope.endswith(":read"))
_OWNED = (Right.OWNER, Right.MEMBER)
LONGEST_S = 1.25 * 3600
_ID = "[a-z]{3}_[0-9a-hjkmnp-tv-z]"
_RANDOM = re.compile(rf"({_ID}{{10}})[0-9a-hjkmnp-tv-z]{{16}}|[0-9a-hjkmnp-tv-z]{{26,}}")
_GIVEN = re.compile(
    rf"{_ID}{{26}}|{KEPT}|{KEPT[::-1]}|\d{{4}}-\d\d-\d\dT[\d:.]+Z|[0-9a-hjkmnp-tv-z]{{26,}}"
)
_PRIVATE = re.compile(r"/files/private/[^\s\"?]+\??([^\s\"]*)")


class Who(Enum):
    """The callers, from the fewest rights to the most."""

    NOBODY = auto()
    LOGIN_LINK = auto()  # the owner's, sent as an API key
    SESSION = auto()  # the owner's, sent as an API key
    READER = auto()  # with a key of the owner's that only reads
    STRANGER = auto()  # with a key of another account that may do everything there
    OWNER = auto()


@dataclass(frozen=True)
class Asked:
    """A call, who made it, what came back, and what of the owner's was other after it."""

    route: str
    call: Call
    who: Who
    answer: httpx2.Response
    changed: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def is_read(self) -> bool:
        return self.route.partition(" ")[0] in READS

    def __str__(self) -> str:
        body = f" {json.dumps(self.call.json)}" if self.call.json else ""
        asked = f"{self.route} as {self.call.path}{body} by {self.who.name}"
        return f"{asked}: {self.answer.status_code} {self.answer.text[:200]}"


@dataclass(frozen=True)
class Walk:
    """All that was asked, and the names of all routes that there are."""

    home: Household
    routes: frozenset[str]
    entries: frozenset[str]
    asked: list[Asked]
    twins: list[tuple[Asked, Asked]]  # a stranger's calls, and the same with ids of nothing

    def by(self, *who: Who) -> Iterator[Asked]:
        return (each for each in self.asked if each.who in who)


@pytest.fixture(scope="module")
async def walk(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Walk]:
    """Ask everything of each route: first those who are to be refused, the owner last."""
    del anyio_backend
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(household(tmp_path_factory.mktemp("home")))
        services = home.safelight.services
        clients = {
            who: await stack.enter_async_context(home.client(account, *scopes, kind=kind))
            for who, account, scopes, kind in (
                (Who.NOBODY, home.owner, (), Credential.KEY),
                (Who.LOGIN_LINK, home.owner, OWNER_SCOPES, Credential.LOGIN),
                (Who.SESSION, home.owner, OWNER_SCOPES, Credential.SESSION),
                (Who.READER, home.owner, _READS, Credential.KEY),
                (Who.STRANGER, home.stranger, OWNER_SCOPES, Credential.KEY),
                (Who.OWNER, home.owner, OWNER_SCOPES, Credential.KEY),
            )
        }
        member = await stack.enter_async_context(home.client(home.stranger, *MEMBER_SCOPES))
        entries = calls(home.things, await services.files.signatures.key_of(home.stranger))
        asked: list[Asked] = []
        twins: list[tuple[Asked, Asked]] = []
        nothing = _names_of_nothing([KEPT, *home.things.values()])
        rows = await home.rows()
        for route, wanted in entries.items():
            for call in wanted:
                for who, client in clients.items():
                    # No account can make an administrator of the installation.
                    other = call.right is Right.ADMIN and who is Who.STRANGER
                    chosen = member if other else client
                    one, rows = await ask(home, route, call, who, chosen, rows)
                    asked.append(one)
                    twin = _renamed(call, nothing)
                    if who is Who.STRANGER and call.right in _OWNED and twin != call:
                        same, rows = await ask(home, route, twin, who, chosen, rows)
                        twins.append((one, same))
        app = server.build(services, version="test")
        yield Walk(home, frozenset(names(app)), frozenset(entries), asked, twins)


def _names_of_nothing(values: Iterable[str]) -> dict[str, str]:
    """Return for each id or other name one of the same shape, time and length that nothing has."""

    def other(found: re.Match[str]) -> str:
        kept = found[1] or ""
        return kept + ids.secret(5 * (len(found[0]) - len(kept)))

    return {value: _RANDOM.sub(other, value) for value in values if _RANDOM.search(value)} | {
        KEPT: KEPT[::-1]
    }


def _renamed(call: Call, names: Mapping[str, str]) -> Call:
    """Return the call with other names in it."""

    def rename(value: Any) -> Any:
        match value:
            case str():
                return reduce(lambda text, pair: text.replace(*pair), names.items(), value)
            case dict():
                found = cast("dict[str, Any]", value)
                return {name: rename(each) for name, each in found.items()}
            case list() | tuple():
                parts = [rename(each) for each in cast("Sequence[Any]", value)]
                return parts if isinstance(value, list) else tuple(parts)
            case _:
                return value

    return replace(
        call,
        path=rename(call.path),
        json=rename(call.json),
        files=rename(call.files),
        params=rename(call.params),
    )


def _said(answer: httpx2.Response) -> tuple[int, str]:
    """Return what a stranger can tell from an answer, apart from the names that they gave."""
    return answer.status_code, _GIVEN.sub("…", answer.text)


Rows = dict[str, set[str]]


async def ask(
    home: Household, route: str, call: Call, who: Who, client: httpx2.AsyncClient, before: Rows
) -> tuple[Asked, Rows]:
    method = route.partition(" ")[0].replace("FILES", "GET")
    answer = await client.request(
        method, call.path, json=call.json, files=call.files, params=call.params
    )
    after = await home.rows()
    changed = tuple(name for name, rows in before.items() if rows != after[name])
    lost = tuple(name for name, rows in before.items() if not rows <= after[name])
    return Asked(route, call, who, answer, changed, lost), after


def test_routes_when_one_is_new_need_an_entry(walk: Walk) -> None:
    assert walk.routes == walk.entries


def test_owner_when_asking_for_their_own_gets_it(walk: Walk) -> None:
    """Or the refusals of others would say nothing."""
    refused = [
        each for each in walk.by(Who.OWNER) if each.answer.status_code not in each.call.expected
    ]
    assert refused == []


def test_stranger_when_naming_another_s_things_is_refused_and_changes_nothing(walk: Walk) -> None:
    named = [each for each in walk.by(Who.STRANGER) if each.call.right is Right.OWNER]
    assert named
    let_in = [each for each in named if each.answer.status_code not in each.call.refusal]
    assert let_in == []
    assert [(str(each), each.changed) for each in named if each.changed] == []


def test_stranger_when_naming_another_s_things_learns_no_more_than_of_names_of_nothing(
    walk: Walk,
) -> None:
    """By ids, cursors and filters, in addresses and bodies."""
    told = [(str(one), _said(one.answer), _said(same.answer)) for one, same in walk.twins]
    assert [each for each in told if each[1] != each[2]] == []
    assert [str(same) for _, same in walk.twins if same.changed] == []


def test_routes_when_they_name_something_are_asked_with_another_s_and_with_nothing(
    walk: Walk,
) -> None:
    named = {
        f"{method.upper()} {path}"
        for path, methods in documented.document()["paths"].items()
        for method, operation in methods.items()
        if "{" in path and "security" in operation and not path.startswith(_NOT_BY_KEY)
    }
    assert len(named) >= LEAST_NAMED
    assert named - {one.route for one, _ in walk.twins} == set()


@pytest.mark.parametrize(
    "route", ["POST /v1/generate", "POST /v1/images", "POST /v1/batches", "POST /v1/upload/batch"]
)
async def test_idempotency_key_when_it_is_another_s_is_as_unused_as_any(
    walk: Walk, route: str
) -> None:
    async with (
        walk.home.client(walk.home.owner, *MEMBER_SCOPES) as owner,
        walk.home.client(walk.home.stranger, *MEMBER_SCOPES) as stranger,
    ):
        own = {"json": {"items": [f"{HOOK}.png"]}} if route == "POST /v1/batches" else {}
        wanted = {
            "POST /v1/generate": {"json": {"prompt": "a cat", "model": "fake", "seed": 7}},
            "POST /v1/images": {"json": {"url": f"{HOOK}.png"}},
            "POST /v1/upload/batch": {"files": [("files", PICTURE)]},
        }.get(route, own)
        path = route.partition(" ")[2]

        async def send(client: httpx2.AsyncClient, key: str) -> httpx2.Response:
            return await client.post(path, headers={"Idempotency-Key": key}, **wanted)

        key = ids.secret()
        first = await send(owner, key)
        assert first.status_code == 202, first.text
        assert (await send(owner, key)).headers["idempotent-replayed"] == "true"
        theirs, fresh = await send(stranger, key), await send(stranger, ids.secret())
        assert "idempotent-replayed" not in theirs.headers
        assert _said(theirs) == _said(fresh)


def test_stranger_when_asking_for_their_own_gets_nothing_of_another(walk: Walk) -> None:
    own = [each for each in walk.by(Who.STRANGER) if each.call.right is Right.MEMBER]
    assert [each for each in own if each.answer.status_code not in each.call.expected] == []
    assert [(str(each), each.lost) for each in own if each.lost] == []


def test_answers_when_they_are_not_the_owner_s_tell_nothing_of_theirs(walk: Walk) -> None:
    secret = {KEPT, *walk.home.things.values()} - {""}
    for each in walk.by(Who.NOBODY, Who.LOGIN_LINK, Who.SESSION, Who.STRANGER):
        request = f"{each.answer.request.url} {each.call.json} {each.call.files}"
        told = f"{each.answer.headers} {each.answer.text}"
        leaked = [value for value in secret if value in told and value not in request]
        assert leaked == [], str(each)


@pytest.mark.parametrize(
    "who", [Who.NOBODY, Who.LOGIN_LINK, Who.SESSION], ids=["no key", "login link", "session"]
)
def test_caller_when_without_a_key_that_fits_is_refused_everywhere_but_where_none_is_needed(
    walk: Walk, who: Who
) -> None:
    for each in walk.by(who):
        free = each.call.right is Right.NOTHING
        assert each.answer.status_code in (each.call.expected if free else {401}), str(each)
        assert each.changed == (), str(each)


def test_reader_when_writing_or_administering_is_refused_and_changes_nothing(walk: Walk) -> None:
    for each in walk.by(Who.READER):
        is_admin = each.call.right is Right.ADMIN
        if is_admin or not (each.is_read or each.call.may_read or each.call.right is Right.NOTHING):
            assert each.answer.status_code == 403, str(each)
            assert each.changed == (), str(each)
        assert each.lost == (), str(each)  # pictures are made as they are asked for


def test_member_when_administering_the_installation_is_refused_and_changes_nothing(
    walk: Walk,
) -> None:
    tried = [each for each in walk.by(Who.STRANGER) if each.call.right is Right.ADMIN]
    assert {each.answer.status_code for each in tried} == {403}
    assert [(str(each), each.changed) for each in tried if each.changed] == []


# --- what every answer carries -------------------------------------------------------------------


def _is_data(asked: Asked) -> bool:
    return asked.call.path.startswith(DATA)


def test_answers_when_whatever_they_are_carry_headers_that_keep_browsers_safe(walk: Walk) -> None:
    for each in walk.asked:
        headers = each.answer.headers
        assert headers["x-content-type-options"] == "nosniff", str(each)
        assert headers["referrer-policy"] == "no-referrer", str(each)
        assert headers["x-frame-options"] == "DENY", str(each)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none';" if _is_data(each) else "default-src "), each
        assert headers["cross-origin-opener-policy"] == "same-origin", str(each)
        assert headers["cross-origin-resource-policy"] in CORP, str(each)
        assert "camera=()" in headers["permissions-policy"], str(each)
        assert headers["x-request-id"].startswith("req_"), str(each)


def test_streams_when_followed_are_neither_kept_nor_held_back_by_proxies(walk: Walk) -> None:
    streams = [
        each
        for each in walk.asked
        if each.answer.headers.get("content-type", "").startswith("text/event-stream")
    ]
    assert len({each.route for each in streams}) >= LEAST_STREAMS
    assert {each.route for each in walk.by(Who.OWNER) if each.route.endswith("/events")} == {
        each.route for each in streams
    }
    for each in streams:
        assert each.answer.headers["cache-control"] == "no-store", str(each)
        assert each.answer.headers["x-accel-buffering"] == "no", str(each)


def test_answers_when_they_are_of_one_account_are_kept_by_no_cache_for_others(walk: Walk) -> None:
    """A cache that is told nothing may keep what it likes, and some do."""
    for each in walk.asked:
        if each.call.right is Right.NOTHING:
            continue
        said = each.answer.headers["cache-control"]
        assert "no-store" in said or "private" in said, str(each)


def test_answers_when_they_tell_a_secret_are_stored_nowhere(walk: Walk) -> None:
    secrets = [value for name, value in walk.home.things.items() if name.startswith("sec")]
    signing = walk.home.things["signing key"]
    telling = [
        each
        for each in walk.asked
        if any(mark in each.answer.text for mark in (*secrets, signing, "whsec_"))
    ]
    assert {each.route for each in telling} >= {
        "GET /v1/account/signing-key",
        "GET /v1/webhooks/default/secret",
        "POST /v1/webhooks",
        "POST /v1/webhooks/{endpoint_id}/rotate",
    }
    for each in telling:
        assert each.answer.headers["cache-control"] == "no-store", str(each)


def test_addresses_when_of_private_files_are_signed_and_end_soon(walk: Walk) -> None:
    latest = time.time() + LONGEST_S
    found = 0
    for each in walk.by(Who.OWNER):
        if not each.answer.is_success and not each.answer.is_redirect:
            continue  # a problem names the address that was asked for
        told = f"{each.answer.text} {each.answer.headers.get('location', '')}"
        for query in _PRIVATE.findall(told.replace("\\u0026", "&")):
            asked = parse_qs(query)
            assert "sig" in asked, str(each)
            assert time.time() < int(asked["until"][0]) <= latest, str(each)
            found += 1
    assert found > 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/v1/jobs", 405), ("GET", "/static/none.js", 404)],
)
async def test_answers_when_no_route_fits_carry_safe_headers_too(
    walk: Walk, method: str, path: str, status: int
) -> None:
    async with walk.home.client(walk.home.owner) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
