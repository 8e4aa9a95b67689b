"""Logins at OpenID Connect providers: whom they prove, and each known attack on them."""

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2
import pytest

from safelight.accounts.account import Caller
from safelight.accounts.scopes import OWNER_SCOPES, Role
from safelight.app import Safelight, open_safelight
from safelight.errors import NotFound
from safelight.fetch.trusted import TrustedClient
from safelight.identity.errors import IssuerUnavailable, ProviderLoginFailed
from safelight.identity.issuers.issuer import LoginProvider
from safelight.identity.issuers.oidc import Oidc, ProvenIdentity, Response
from safelight.settings import Settings
from tests.issuers import CLIENT, CLIENT_SECRET, CODE, DOWN, OTHER, StubIssuer, issuing, rsa
from tests.servers import free_port, tethered, wait_until

SECRET = "a-secret-of-one-browser"  # noqa: S105
BACK = "https://safelight.test/auth/oidc/stub/callback"
_ROOT = Path(__file__).parent.parent.parent


@dataclass
class Login:
    """A login that has begun: what the provider was asked for."""

    oidc: Oidc
    issuer: StubIssuer
    asked: dict[str, str]

    def claims(self, **changes: Any) -> dict[str, Any]:
        good = {
            "aud": CLIENT,
            "nonce": self.asked["nonce"],
            "email": "ann@example.com",
            "email_verified": True,
        }
        return good | changes

    async def finish(
        self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any
    ) -> ProvenIdentity:
        """Finish it with an id token of these claims."""
        head = {"typ": "JWT"} | (header or {})
        self.issuer.id_token = self.issuer.token(head, key, **self.claims(**claims))
        return await self.respond(code=CODE)

    async def respond(self, secret: str = SECRET, **query: str) -> ProvenIdentity:
        told = {"state": self.asked["state"], "issuer": self.issuer.url} | query
        return await self.oidc.finish("stub", secret, Response(**told), BACK)


@pytest.fixture
async def issuer() -> AsyncIterator[StubIssuer]:
    async with issuing() as running:
        yield running


@pytest.fixture
async def login(issuer: StubIssuer) -> AsyncIterator[Login]:
    provider = LoginProvider(
        issuer=issuer.url, client_id=CLIENT, client_secret=CLIENT_SECRET, allow_http=True
    )
    async with TrustedClient() as client:
        oidc = Oidc({"stub": provider, "other": provider}, client)
        url = await oidc.start("stub", SECRET, BACK)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        issuer.challenge = asked["code_challenge"]
        yield Login(oidc, issuer, asked)


async def test_start_when_asked_sends_state_nonce_and_a_hashed_verifier(login: Login) -> None:
    assert login.asked["response_type"] == "code"
    assert login.asked["code_challenge_method"] == "S256"
    assert login.asked["redirect_uri"] == BACK
    secrets = {login.asked[name] for name in ("state", "nonce", "code_challenge")}
    assert len(secrets) == 3
    assert SECRET not in str(login.asked)


async def test_response_when_good_proves_issuer_and_subject(login: Login) -> None:
    proven = await login.finish(sub="ann")
    assert proven == ProvenIdentity("stub", login.issuer.url, "ann", "ann@example.com")


@pytest.mark.parametrize("verified", [False, None, "false", 0, "yes"])
async def test_response_when_the_address_is_not_verified_proves_no_address(
    login: Login, verified: Any
) -> None:
    assert (await login.finish(email_verified=verified)).email == ""


@pytest.mark.parametrize(
    "query",
    [
        {"state": ""},
        {"state": "made-up"},
        {"secret": "of-another-browser"},
        {"secret": ""},
        {"issuer": "https://another.example"},
        {"issuer": ""},
        {"error": "access_denied"},
        {"code": ""},
        {"code": "another"},
        {"code": "x" * 5_000},
    ],
    ids=str,
)
async def test_response_when_not_of_this_login_is_refused(
    login: Login, query: dict[str, str]
) -> None:
    login.issuer.id_token = login.issuer.token({"typ": "JWT"}, **login.claims())
    with pytest.raises(ProviderLoginFailed):
        await login.respond(**({"code": CODE} | query))


async def test_response_when_it_was_meant_for_another_provider_is_refused(login: Login) -> None:
    login.issuer.id_token = login.issuer.token({"typ": "JWT"}, **login.claims())
    response = Response(login.asked["state"], CODE, login.issuer.url)
    with pytest.raises(ProviderLoginFailed, match="not begun in this browser"):
        await login.oidc.finish("other", SECRET, response, BACK)
    with pytest.raises(NotFound):
        await login.oidc.finish("nobody", SECRET, response, BACK)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"iss": "https://another.example"},
        {"exp": 1},
        {"exp": None},
        {"sub": ""},
        {"token_use": "access"},
    ],
    ids=str,
)
async def test_id_token_when_a_claim_is_wrong_is_refused(
    login: Login, claims: dict[str, Any]
) -> None:
    with pytest.raises(ProviderLoginFailed):
        await login.finish(**claims)


async def test_id_token_when_forged_or_of_another_use_is_refused(login: Login) -> None:
    with pytest.raises(ProviderLoginFailed, match=r"type|id token"):
        await login.finish({"typ": "at+jwt"})
    with pytest.raises(ProviderLoginFailed, match="signature"):
        await login.finish(key=rsa("first"))
    with pytest.raises(ProviderLoginFailed, match="algorithm"):
        await login.finish({"alg": "PS256"})
    login.issuer.id_token = "no token"  # noqa: S105
    with pytest.raises(ProviderLoginFailed):
        await login.respond(code=CODE)


@pytest.mark.parametrize("fault", [DOWN, OTHER])
async def test_start_when_the_provider_is_down_or_another_is_unavailable(
    issuer: StubIssuer, fault: str
) -> None:
    issuer.fault = fault
    provider = LoginProvider(issuer=issuer.url, client_id=CLIENT, allow_http=True)
    async with TrustedClient() as client:
        with pytest.raises(IssuerUnavailable):
            await Oidc({"stub": provider}, client).start("stub", SECRET, BACK)


# --- over HTTP ------------------------------------------------------------------------------------


@dataclass
class Office:
    """A server that signs people in at the stub."""

    safelight: Safelight
    issuer: StubIssuer
    account: str

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(self.safelight.asgi, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=HERE) as client:
            yield client

    async def user(self, email: str) -> None:
        operator = Caller(self.account, "key_x", OWNER_SCOPES)
        await self.safelight.services.identity.people.create(
            operator,
            email,
            password=PASSWORD,
            is_operator=False,
            account_id=self.account,
            role=Role.VIEWER,
        )

    async def way_back(self, browser: httpx2.AsyncClient, how: str, **claims: Any) -> str:
        """Begin a login, and return the path that the provider sends the browser to."""
        begun = await browser.get(f"/auth/oidc/stub/{how}")
        assert begun.status_code == 303, begun.text
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        self.issuer.challenge = asked["code_challenge"][0]
        good = {"aud": CLIENT, "nonce": asked["nonce"][0], "email_verified": True}
        self.issuer.id_token = self.issuer.token({"typ": "JWT"}, **(good | claims))
        query = {"state": asked["state"][0], "code": CODE, "iss": self.issuer.url}
        return f"/auth/oidc/stub/callback?{urlencode(query)}"

    async def sign_in(self, browser: httpx2.AsyncClient, how: str = "start", **claims: Any) -> str:
        """Walk the way there and back; return where it ended."""
        path = await self.way_back(browser, how, **claims)
        return (await browser.get(path)).headers["location"]


HERE = "https://safelight.test"
PASSWORD = "correct horse battery"  # noqa: S105
NOT_CONNECTED = "../../../signin#failed=identity_not_connected"
FAILED = "../../../signin#failed=provider_login_failed"


@pytest.fixture
async def office(issuer: StubIssuer, tmp_path: Path) -> AsyncIterator[Office]:
    data, path = tmp_path / "data", tmp_path / "issuers.toml"
    settings = Settings(data_dir=data, min_free_bytes=0, public_url=HERE)
    async with open_safelight(settings) as first:
        account = (await first.services.accounts.ensure_first("tests")).id
    path.write_text(f"""
[logins.stub]
issuer = "{issuer.url}"
client_id = "{CLIENT}"
client_secret = "{CLIENT_SECRET}"
title = "The Stub"
allow_http = true
account = "{account}"
role = "viewer"
""")
    async with open_safelight(settings.model_copy(update={"issuers": path})) as safelight:
        yield Office(safelight, issuer, account)


async def test_person_when_new_and_verified_joins_and_comes_back_by_the_same_identity(
    office: Office,
) -> None:
    for _ in range(2):
        async with office.browser() as browser:
            assert await office.sign_in(browser, email="ann@example.com") == "../../../"
            me = (await browser.get("/v1/auth/me")).json()
            assert me["email"] == "ann@example.com"
            assert (await browser.get("/v1/jobs")).status_code == 200
            key = await browser.post("/v1/keys", json={"name": "x"})
            assert key.status_code == 403, "a viewer reads"
    async with office.browser() as browser:
        assert await office.sign_in(browser, sub="bob", email="ann@example.com") == NOT_CONNECTED
        listed = (await browser.get("/v1/auth/providers")).json()["data"]
        assert [each["title"] for each in listed] == ["The Stub"]


async def test_person_when_the_address_is_not_verified_does_not_join(office: Office) -> None:
    async with office.browser() as browser:
        for verified in (False, None):
            ended = await office.sign_in(browser, email="ann@example.com", email_verified=verified)
            assert ended == FAILED
        assert (await browser.get("/v1/auth/me")).status_code == 401


async def test_user_when_here_already_must_connect_the_identity(office: Office) -> None:
    await office.user("ann@example.com")
    async with office.browser() as browser:
        assert await office.sign_in(browser, email="ann@example.com") == NOT_CONNECTED
        wish = {"email": "ann@example.com", "password": PASSWORD}
        assert (await browser.post("/v1/auth/login", json=wish)).status_code == 200
        ended = await office.sign_in(browser, "connect", email="other@example.com")
        assert ended == "../../../"
    async with office.browser() as browser:
        assert await office.sign_in(browser) == "../../../"
        assert (await browser.get("/v1/auth/me")).json()["email"] == "ann@example.com"
        assert (await browser.get("/auth/oidc/stub/callback")).headers["location"] == FAILED


async def test_response_when_another_browser_began_it_signs_nobody_in(office: Office) -> None:
    async with office.browser() as evil, office.browser() as victim:
        path = await office.way_back(evil, "start", email="evil@example.com")
        answer = await victim.get(path)
        assert answer.headers["location"] == FAILED
        assert (await victim.get("/v1/auth/me")).status_code == 401
        assert (await victim.get("/auth/oidc/stub/connect")).status_code == 401


# --- against a provider that somebody else wrote --------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `oidc-provider`."""
    own = _ROOT / ".tools" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    assert node, "Node.js is missing: make setup-dev"
    url = f"http://127.0.0.1:{free_port()}"
    port = url.rpartition(":")[2]
    log = tmp_path_factory.mktemp("oidc") / "provider.log"
    command = tethered(node, str(_ROOT / "tests" / "oidc_provider.mjs"), port, BACK)
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            wait_until(lambda: _answers(url), 30)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/.well-known/openid-configuration", timeout=1).is_success
    except httpx2.HTTPError:
        return False


async def _signed_in(url: str, person: str) -> dict[str, str]:
    """Walk the provider's pages as a person; return the query of the way back."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
        for _ in range(12):
            if location := answer.headers.get("location", ""):
                url = urljoin(str(answer.request.url), location)
                if url.startswith(BACK):
                    return {key: each[0] for key, each in parse_qs(urlsplit(url).query).items()}
                answer = await browser.get(url)
                continue
            action = re.search(r'<form[^>]+action="([^"]+)"', answer.text)
            assert action, answer.text
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', answer.text))
            named = {"login": person, "password": "x"} if fields.get("prompt") == "login" else {}
            target = urljoin(str(answer.request.url), unescape(action[1]))
            answer = await browser.post(target, data=fields | named)
    raise AssertionError("the provider never sent the browser back")


@pytest.mark.parametrize(("person", "email"), [("ann", "ann@example.com"), ("eve", "")])
async def test_login_when_at_a_real_provider_proves_the_person(
    real: str, person: str, email: str
) -> None:
    provider = LoginProvider(
        issuer=real,
        client_id="safelight",
        client_secret="a-secret-of-a-test-0123456789abcdef",  # noqa: S106
        allow_http=True,
    )
    async with TrustedClient() as client:
        oidc = Oidc({"own": provider}, client)
        secret = f"{SECRET}-{time.time_ns()}"
        told = await _signed_in(await oidc.start("own", secret, BACK), person)
        assert told["iss"] == real
        response = Response(told["state"], told["code"], told["iss"])
        proven = await oidc.finish("own", secret, response, BACK)
        assert proven == ProvenIdentity("own", real, person, email)
        with pytest.raises(ProviderLoginFailed):  # a code works once
            await oidc.finish("own", secret, response, BACK)
