"""Tokens of issuers as API credentials: what they grant, and each known attack on them."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from safelight.accounts import store
from safelight.accounts.account import Caller
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import AccountSuspended, Unauthenticated
from safelight.app import open_safelight
from safelight.db.engine import Database
from safelight.fetch.trusted import TrustedClient
from safelight.identity.errors import IssuersInvalid, IssuerUnavailable
from safelight.identity.issuers.issuer_file import read_issuers
from safelight.identity.issuers.key_set import FRESH_S, KEPT_S, PAUSE_S
from safelight.identity.issuers.token import LEEWAY_S
from safelight.identity.issuers.tokens import Tokens
from safelight.settings import Settings
from tests.issuers import DOWN, HUGE, OTHER, StubIssuer, issuing, rsa


@pytest.fixture
async def issuer() -> AsyncIterator[StubIssuer]:
    async with issuing() as running:
        yield running


class Ticks:
    """A monotonic clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """The part under test with a clock of its own, and the account of its tokens."""

    def __init__(self, tokens: Tokens, ticks: Ticks, account: str) -> None:
        self.tokens = tokens
        self.ticks = ticks
        self.account = account

    async def caller(self, token: str) -> Caller:
        return await self.tokens.authenticate(token)

    async def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.tokens.authenticate(token)
        return caught.value.detail


@pytest.fixture(params=["sqlite"])  # only an account is looked up
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk(issuer: StubIssuer, database: Database, account: str, tmp_path: Path) -> OpenDesk:
    """Opens the part under test with entries of the file of issuers."""

    @asynccontextmanager
    async def opening(**entries: str) -> AsyncIterator[Desk]:
        ticks = Ticks()
        entries = {"account": f'"{account}"'} | entries
        path = issuer.write(tmp_path / "issuers.toml", **entries)
        async with TrustedClient() as client:
            tokens = Tokens(database, read_issuers(path, {}).issuers, client, ticks=ticks)
            yield Desk(tokens, ticks, account)

    return opening


@pytest.fixture
async def opened(desk: OpenDesk) -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, claims)
    ]
    return ".".join([*parts, signature])


# --- good tokens ----------------------------------------------------------------------------------


async def test_token_when_good_acts_within_the_grants_of_its_issuer(
    opened: Desk, issuer: StubIssuer
) -> None:
    caller = await opened.caller(issuer.token())
    assert (caller.account_id, caller.key_id) == (opened.account, "stub:ann")
    assert caller.scopes == {"jobs:read", "assets:read"}, "admin:write is not among the grants"
    assert caller.expires_at is not None
    assert issuer.asked == 1
    await opened.caller(issuer.token(sub="bob"))
    assert issuer.asked == 1, "the keys are cached"


@pytest.mark.parametrize(
    ("entries", "claims", "scopes"),
    [
        ({"scope_claim": '""', "grants": '["usage:read"]'}, {}, {"usage:read"}),
        (
            {"scopes": '{ "media/write" = ["jobs:*"] }'},
            {"scope": "media/write"},
            {"jobs:read", "jobs:write"},
        ),
        ({"scope_claim": '"scp"'}, {"scp": ["jobs:read", 7, "nothing"]}, {"jobs:read"}),
        (
            {"role_claim": '"groups"', "roles": '{ editors = ["assets:write"] }'},
            {"groups": ["editors", "others"], "scope": None},
            {"assets:write"},
        ),
        ({}, {"scope": None}, set()),
        ({"grants": '["admin:*"]'}, {}, {"admin:write"}),
    ],
)
async def test_token_when_scopes_or_roles_are_mapped_gets_those(
    issuer: StubIssuer,
    desk: OpenDesk,
    entries: dict[str, str],
    claims: dict[str, Any],
    scopes: set[str],
) -> None:
    async with desk(**entries) as made:
        assert (await made.caller(issuer.token(**claims))).scopes == scopes


async def test_token_when_it_names_its_account_acts_there_if_it_exists(
    issuer: StubIssuer, desk: OpenDesk, account: str
) -> None:
    entries = {"account": '""', "account_claim": '"tenant"'}
    async with desk(**entries) as made:
        caller = await made.caller(issuer.token(tenant=account))
        assert caller.account_id == account
        for tenant in ("acc_nowhere", "", None, 7, [account]):
            assert "no account" in await made.refusal(issuer.token(tenant=tenant))


async def test_token_when_its_account_is_suspended_or_deleted_is_refused_and_may_not_stay(
    opened: Desk, issuer: StubIssuer, database: Database
) -> None:
    caller = await opened.caller(issuer.token())
    authenticator = Authenticator(database)
    assert await authenticator.still_valid([caller]) == {caller}
    ended = replace(caller, expires_at=datetime.now(UTC))
    assert await authenticator.still_valid([ended]) == set()

    async def change(**values: Any) -> None:
        await database.write(lambda tx: store.change_account(tx, caller.account_id, **values))

    await change(suspended_at=datetime.now(UTC), suspended_for="unpaid")
    with pytest.raises(AccountSuspended, match="unpaid"):
        await opened.caller(issuer.token(sub="bob"))
    assert await authenticator.still_valid([caller]) == set()
    await change(suspended_at=None, deleted_at=datetime.now(UTC))
    assert "no account" in await opened.refusal(issuer.token(sub="bob"))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256", {"kid": "ec"})),
        ("Ed25519", OKPKey.generate_key("Ed25519", {"kid": "ed"})),
        ("PS384", RSAKey.generate_key(2048, {"kid": "ps", "alg": "PS384"})),
    ],
)
async def test_token_when_signed_by_another_allowed_algorithm_is_accepted(
    issuer: StubIssuer, desk: OpenDesk, account: str, algorithm: str, key: Any
) -> None:
    issuer.keys.append(key)
    async with desk(algorithms=f'["{algorithm}"]') as made:
        await made.caller(issuer.token({"alg": algorithm}))
        assert "algorithm" in await made.refusal(issuer.token(key=issuer.keys[0]))


async def test_token_when_its_header_names_no_key_is_verified_by_the_only_one(
    opened: Desk, issuer: StubIssuer
) -> None:
    await opened.caller(issuer.token({"kid": None}))
    opened.ticks.now += FRESH_S
    issuer.keys.append(rsa("second"))
    assert "no such key" in await opened.refusal(issuer.token({"kid": None}, sub="bob"))


# --- attacks --------------------------------------------------------------------------------------


async def test_token_when_not_signed_is_refused(opened: Desk, issuer: StubIssuer) -> None:
    for name in ("none", "None", "NONE", ""):
        header = {"alg": name, "typ": "at+jwt", "kid": "first"}
        assert "algorithm" in await opened.refusal(unsigned(header, issuer.claims(), "x"))
    header = {"alg": "RS256", "typ": "at+jwt", "kid": "first"}
    await opened.refusal(unsigned(header, issuer.claims()))
    for signature in ("AA", "AA==", "!!", "AAAA" * 86):
        refusal = await opened.refusal(unsigned(header, issuer.claims(), signature))
        assert "signature" in refusal


async def test_token_when_signed_with_the_public_key_as_a_secret_is_refused(
    opened: Desk, issuer: StubIssuer
) -> None:
    pem = issuer.key.as_pem(private=False) if isinstance(issuer.key, RSAKey) else b""
    token = issuer.token({"alg": "HS256"}, OctKey.import_key(base64.b64encode(pem)))
    assert "algorithm" in await opened.refusal(token)


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "' UNION SELECT 'x", "first\x00", "x" * 256, "", 7, None, ["first"]]
)
async def test_token_when_its_key_id_is_made_up_reaches_nothing(
    opened: Desk, issuer: StubIssuer, kid: Any
) -> None:
    other = rsa("evil")
    token = unsigned_by(issuer, {"kid": kid}, other)
    assert await opened.refusal(token)
    assert issuer.asked <= 1


def unsigned_by(issuer: StubIssuer, header: dict[str, Any], key: RSAKey) -> str:
    """Return a token that another key signed, whatever its header says."""
    head = {"alg": "RS256", "typ": "at+jwt"} | header
    parts = unsigned(head, issuer.claims()).rpartition(".")[0]
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

    signature = key.private_key.sign(parts.encode(), padding.PKCS1v15(), hashes.SHA256())  # pyright: ignore[reportOptionalMemberAccess]
    return f"{parts}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
async def test_token_when_it_brings_its_own_key_is_verified_by_the_issuer_s(
    opened: Desk, issuer: StubIssuer, name: str
) -> None:
    evil = rsa("evil")
    async with issuing() as elsewhere:
        elsewhere.keys = [evil]
        value = {
            "jwk": evil.as_dict(private=False),
            "jku": f"{elsewhere.url}/keys",
            "x5u": f"{elsewhere.url}/keys",
            "x5c": ["MIIB"],
        }[name]
        for kid in ("evil", "first"):
            assert await opened.refusal(unsigned_by(issuer, {name: value, "kid": kid}, evil))
        assert elsewhere.asked == 0, "nothing that a token names is called"
        good = issuer.token({name: value})
        await opened.caller(good)
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", 7]}, "audience"),
        ({"aud": None}, "audience"),
        ({"iss": "https://another.example"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"sub": ""}, "subject"),
        ({"sub": None}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "ann\r\nx"}, "subject"),
        ({"exp": None}, "never ends"),
        ({"exp": "2099"}, "not a time"),
        ({"exp": True}, "not a time"),
        ({"exp": 1e300}, "not a time"),
        ({"exp": 1}, "expired"),
        ({"nbf": 32503680000}, "not valid yet"),
        ({"iat": 32503680000}, "not valid yet"),
    ],
    ids=str,
)
async def test_token_when_a_claim_is_wrong_is_refused_with_the_reason(
    opened: Desk, issuer: StubIssuer, claims: dict[str, Any], told: str
) -> None:
    token = issuer.token(**claims)
    refusal = await opened.refusal(token)
    assert told in refusal
    assert token not in refusal


async def test_token_when_clocks_differ_by_less_than_a_minute_is_accepted(
    opened: Desk, issuer: StubIssuer
) -> None:
    now = time.time()
    await opened.caller(issuer.token(exp=now - LEEWAY_S + 5))
    await opened.caller(issuer.token(nbf=now + LEEWAY_S - 5))
    assert "expired" in await opened.refusal(issuer.token(exp=now - LEEWAY_S - 5))
    assert "not valid yet" in await opened.refusal(issuer.token(nbf=now + LEEWAY_S + 5))


async def test_token_when_it_is_oversized_or_malformed_is_refused(
    opened: Desk, issuer: StubIssuer
) -> None:
    assert "longer" in await opened.refusal(issuer.token(more="x" * 10_000))
    for text in ("", "x", "a.b", "a.b.c", "....", "e30.e30.e30.e30", "eyJ9.eyJ9.x", "[].[].x"):
        assert await opened.refusal(text)
    deep = base64.urlsafe_b64encode(b"[" * 3_000).decode()
    assert await opened.refusal(f"{deep}.{deep[:100]}.x")
    assert issuer.asked == 0


async def test_token_when_its_header_has_critical_extensions_is_refused(
    opened: Desk, issuer: StubIssuer
) -> None:
    head = {"alg": "RS256", "typ": "at+jwt", "kid": "first"}
    for extra in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"crit": []}):
        assert "critical" in await opened.refusal(unsigned(head | extra, issuer.claims(), "AA"))


@pytest.mark.parametrize("type_name", ["JWT", "", None, "logout+jwt", "dpop+jwt", "rt+jwt"])
async def test_token_when_it_is_of_another_use_is_refused(
    opened: Desk, issuer: StubIssuer, type_name: str | None
) -> None:
    """An id token has the type JWT, or none."""
    token = issuer.token({"typ": type_name}, nonce="n", at_hash="h")
    assert "type" in await opened.refusal(token)


async def test_token_when_the_issuer_types_all_of_its_tokens_alike_needs_the_required_claim(
    issuer: StubIssuer, desk: OpenDesk, account: str
) -> None:
    entries = {
        "types": '["JWT", ""]',
        "require": '{ token_use = "access" }',
        "audience_claim": '"client_id"',
    }
    async with desk(**entries) as made:
        access = {"token_use": "access", "client_id": "safelight-tests", "aud": None}
        await made.caller(issuer.token({"typ": None}, **access))
        identity = {"token_use": "id", "client_id": "safelight-tests"}
        assert "token_use" in await made.refusal(issuer.token({"typ": None}, **identity))
        other = {"token_use": "access", "client_id": "another"}
        assert "audience" in await made.refusal(issuer.token({"typ": None}, **other))


# --- keys -----------------------------------------------------------------------------------------


async def test_keys_when_rotated_in_mid_flight_are_fetched_once_for_all(
    opened: Desk, issuer: StubIssuer
) -> None:
    await opened.caller(issuer.token())
    issuer.keys.append(rsa("second"))
    opened.ticks.now += PAUSE_S
    fresh = [issuer.token(sub=f"user{number}") for number in range(20)]
    await asyncio.gather(*map(opened.caller, fresh))
    assert issuer.asked == 2
    await opened.caller(issuer.token({"kid": "first"}, issuer.keys[0], sub="old"))
    del issuer.keys[0]
    opened.ticks.now += FRESH_S
    await opened.caller(issuer.token(sub="eve"))
    gone = issuer.token({"kid": "first"}, rsa("first"), sub="gone")
    assert "no such key" in await opened.refusal(gone)


async def test_keys_when_unknown_ones_are_named_again_and_again_are_fetched_rarely(
    opened: Desk, issuer: StubIssuer
) -> None:
    await opened.caller(issuer.token())
    opened.ticks.now += PAUSE_S
    for number in range(50):
        await opened.refusal(issuer.token({"kid": f"made-up-{number}"}))
    assert issuer.asked == 2


async def test_keys_when_the_issuer_is_down_are_used_for_a_day_and_then_unavailable(
    opened: Desk, issuer: StubIssuer
) -> None:
    await opened.caller(issuer.token())
    issuer.fault = DOWN
    opened.ticks.now += FRESH_S
    await opened.caller(issuer.token(sub="bob"))
    with pytest.raises(IssuerUnavailable):  # perhaps it has rotated: nobody knows
        await opened.caller(issuer.token({"kid": "new"}, rsa("new")))
    opened.ticks.now += KEPT_S
    with pytest.raises(IssuerUnavailable) as caught:
        await opened.caller(issuer.token(sub="eve"))
    assert caught.value.retry_after is not None
    issuer.fault = ""
    opened.ticks.now += PAUSE_S
    await opened.caller(issuer.token(sub="eve"))


@pytest.mark.parametrize("fault", [DOWN, HUGE, OTHER])
async def test_keys_when_none_can_be_read_are_asked_for_once_in_a_while(
    opened: Desk, issuer: StubIssuer, fault: str
) -> None:
    issuer.fault = fault
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            await opened.caller(issuer.token())
    assert issuer.asked <= 1


async def test_keys_when_unfit_are_left_out(opened: Desk, issuer: StubIssuer) -> None:
    short = RSAKey.import_key(rsa("first").as_dict(private=False) | {"use": "enc"})
    secret = OctKey.generate_key(256, {"kid": "oct"})
    issuer.keys = [short, secret, rsa("good")]
    await opened.caller(issuer.token())
    assert "no such key" in await opened.refusal(issuer.token({"kid": "first"}, rsa("first")))


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"algorithms": '["HS256"]'}, "HS256"),
        ({"algorithms": '["none"]'}, "none"),
        ({"algorithms": "[]"}, "algorithms"),
        ({"types": '["JWT"]'}, "require"),
        ({"account": '""'}, "account_claim"),
        ({"account_claim": '"tenant"'}, "account_claim"),
        ({"grants": '["everything"]'}, "no scope"),
        ({"roles": '{ a = ["b"] }'}, "no scope"),
        ({"allow_htp": "true"}, "did you mean allow_http"),
        ({"keys_url": '"ftp://x"'}, "https"),
        ({"account": '"${NOT_SET}"'}, "NOT_SET"),
    ],
    ids=str,
)
def test_file_when_it_has_a_mistake_is_refused_with_its_place(
    tmp_path: Path, entries: dict[str, str], told: str
) -> None:
    path = StubIssuer("http://127.0.0.1:9").write(
        tmp_path / "issuers.toml", **({"account": '"acc_1"'} | entries)
    )
    with pytest.raises(IssuersInvalid, match=told) as caught:
        read_issuers(path, {})
    assert str(path) in str(caught.value)


def test_file_when_an_address_is_plain_http_must_allow_it(tmp_path: Path) -> None:
    path = StubIssuer("http://id.example").write(tmp_path / "i.toml", account='"acc_1"')
    path.write_text(path.read_text().replace("allow_http = true", ""))
    with pytest.raises(IssuersInvalid, match="allow_http"):
        read_issuers(path, {})


# --- over HTTP ------------------------------------------------------------------------------------


@asynccontextmanager
async def served(
    issuer: StubIssuer, folder: Path, **entries: str
) -> AsyncIterator[httpx2.AsyncClient]:
    """A whole server that takes the issuer's tokens for one account."""
    (folder / "data").mkdir()
    settings = Settings(data_dir=folder / "data", min_free_bytes=0, fake_provider=True)
    async with open_safelight(settings) as first:
        account = (await first.services.accounts.ensure_first("tests")).id
    path = issuer.write(folder / "issuers.toml", account=f'"{account}"', **entries)
    async with open_safelight(settings.model_copy(update={"issuers": path})) as safelight:
        transport = httpx2.ASGITransport(safelight.asgi, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_request_when_it_has_a_token_is_answered_limited_and_audited(
    issuer: StubIssuer, tmp_path: Path
) -> None:
    entries = {"grants": '["jobs:*", "account:*"]', "scope_claim": '""', "rate_per_s": "4"}
    async with served(issuer, tmp_path, **entries) as client:
        ann = bearer(issuer.token())
        made = await client.post(
            "/v1/keys", json={"name": "x", "scopes": ["jobs:read"]}, headers=ann
        )
        assert made.status_code == 201
        lines = (await client.get("/v1/audit", headers=ann)).json()["data"]
        assert lines[0]["actor"] == "stub:ann"
        assert (await client.get("/v1/assets", headers=ann)).json()["code"] == "forbidden"
        refused = await client.post("/v1/login-links", headers=ann)
        assert refused.status_code == 403, "a session would outlast the token"
        answers = [(await client.get("/v1/jobs", headers=ann)).status_code for _ in range(8)]
        assert 429 in answers
        assert (await client.get("/v1/jobs", headers=bearer(issuer.token(sub="bob")))).is_success
        wrong = await client.get("/v1/jobs", headers=bearer(issuer.token(aud="another")))
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")


async def test_request_when_the_issuer_is_down_is_unavailable_and_keys_of_ours_go_on(
    issuer: StubIssuer, tmp_path: Path
) -> None:
    issuer.fault = DOWN
    async with served(issuer, tmp_path) as client:
        answer = await client.get("/v1/jobs", headers=bearer(issuer.token()))
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
        assert answer.headers["retry-after"]
        own = await client.get("/v1/jobs", headers=bearer(f"sk_{'0' * 32}"))
        assert own.status_code == 401


async def test_stream_when_its_token_ends_ends_too(issuer: StubIssuer, tmp_path: Path) -> None:
    entries = {"grants": '["jobs:*"]', "scope_claim": '""'}
    async with served(issuer, tmp_path, **entries) as client:
        body = {"prompt": "a cat", "model": "fake"}
        made = await client.post("/v1/generate", json=body, headers=bearer(issuer.token()))
        assert made.status_code == 202
        short = bearer(issuer.token(exp=time.time() - LEEWAY_S + 2))
        async with asyncio.timeout(10):
            answer = await client.get(f"/v1/jobs/{made.json()['id']}/events", headers=short)
        assert answer.status_code == 200
        assert "event: snapshot" in answer.text
        again = await client.get(f"/v1/jobs/{made.json()['id']}/events", headers=short)
        assert again.status_code == 401
