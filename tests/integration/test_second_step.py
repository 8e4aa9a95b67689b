"""The second step of a login: each code once, ten wrong ones lock it, recovery codes."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from pyotp.totp import TOTP

from tests.people import PASSWORD, Office, log_in, office

ADA = "ada@example.com"
NOW = time.time()  # for codes, so that no half minute ends within a test
_KNOWN = {"current_password": PASSWORD}


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass for codes."""
    monkeypatch.setattr("safelight.identity.second_step.time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture
async def place(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Office]:
    async with office(tmp_path / "data", database_url=migrated_database_url) as opened:
        yield opened


def _outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def code_of(secret: str, *, steps: int = 0) -> str:
    """Return the code of the present time step, or of one before or after it."""
    return TOTP(secret).at(NOW + 30 * steps)


def wrong_code(secret: str) -> str:
    right = {code_of(secret, steps=steps) for steps in range(-3, 4)}
    return next(code for code in (f"{n:06}" for n in range(10)) if code not in right)


async def set_up(browser: httpx2.AsyncClient) -> tuple[str, list[str]]:
    """Turn two-step login on; return its secret and the recovery codes."""
    made = (await browser.post("/v1/auth/totp", json=_KNOWN)).json()
    assert made["address"].startswith("otpauth://totp/Safelight:")
    answer = await browser.post(
        "/v1/auth/totp/confirm", json={"code": code_of(made["secret"], steps=-1)}
    )
    assert answer.status_code == 200, answer.text
    return made["secret"], answer.json()["codes"]


async def first_step(browser: httpx2.AsyncClient) -> str:
    answer = await log_in(browser, ADA)
    assert answer.json()["status"] == "second_step"
    assert "set-cookie" not in answer.headers
    return answer.json()["token"]


async def second_step(browser: httpx2.AsyncClient, token: str, code: str) -> httpx2.Response:
    body = {"token": token, "code": code}
    return await browser.post("/v1/auth/login/second-step", json=body)


async def test_code_when_used_twice_is_refused(place: Office) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        secret, _ = await set_up(browser)
        code = code_of(secret)
        token = await first_step(browser)
        assert (await second_step(browser, token, code)).json()["status"] == "signed_in"
        assert (await browser.get("/v1/auth/me")).json()["two_step"]
        again = await first_step(browser)
        assert _outcome(await second_step(browser, again, code)) == (401, "code_wrong")
        earlier = code_of(secret, steps=-1)
        assert _outcome(await second_step(browser, again, earlier)) == (401, "code_wrong")
        assert _outcome(await second_step(browser, token, code_of(secret, steps=1))) == (
            401,
            "code_wrong",
        ), "the first step's token works once"


async def test_second_step_when_ten_codes_were_wrong_is_locked_even_for_the_right_one(
    place: Office,
) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        secret, codes = await set_up(browser)
        token = await first_step(browser)
        for _ in range(10):
            wrong = await second_step(browser, token, wrong_code(secret))
            assert _outcome(wrong) == (401, "code_wrong")
        for code in (code_of(secret), codes[0]):
            locked = await second_step(browser, token, code)
            assert _outcome(locked) == (429, "too_many_attempts")
        fresh = await first_step(browser)
        locked = await second_step(browser, fresh, code_of(secret))
        assert _outcome(locked) == (429, "too_many_attempts"), "a new login does not unlock it"


async def test_token_of_the_first_step_when_used_elsewhere_opens_nothing(place: Office) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        await set_up(browser)
        token = await first_step(browser)
    async with place.browser(key=token) as as_key:
        assert _outcome(await as_key.get("/v1/jobs")) == (401, "unauthenticated")
    async with place.browser() as as_cookie:
        as_cookie.cookies.set("safelight_session", token)
        assert (await as_cookie.get("/v1/jobs")).status_code == 401
        assert (await as_cookie.get(f"/login?token={token}")).headers["location"] == (
            "./?login=expired"
        )
        reset = {"token": token, "password": "another long password"}
        assert _outcome(await as_cookie.post("/v1/auth/reset", json=reset)) == (
            403,
            "token_invalid",
        )


async def test_recovery_code_when_used_works_once_and_each_of_them(place: Office) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        _, codes = await set_up(browser)
        assert len(set(codes)) == 10
        typed = codes[0].upper().replace("-", " ")
        assert (await second_step(browser, await first_step(browser), typed)).status_code == 200
        assert (await browser.get("/v1/auth/me")).json()["recovery_codes_left"] == 9
        token = await first_step(browser)
        assert _outcome(await second_step(browser, token, codes[0])) == (401, "code_wrong")
        assert (await second_step(browser, token, codes[1])).status_code == 200
        renewed = await browser.post("/v1/auth/totp/recovery-codes", json=_KNOWN)
        token = await first_step(browser)
        assert _outcome(await second_step(browser, token, codes[2])) == (401, "code_wrong")
        new = renewed.json()["codes"][0]
        assert (await second_step(browser, token, new)).status_code == 200


async def test_setup_when_without_the_password_or_a_right_code_changes_nothing(
    place: Office,
) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        wrong = {"current_password": "not the password"}
        for path in ("totp", "totp/disable", "totp/recovery-codes"):
            refused = await browser.post(f"/v1/auth/{path}", json=wrong)
            assert _outcome(refused) == (403, "password_wrong")
        early = await browser.post("/v1/auth/totp/confirm", json={"code": "123456"})
        assert _outcome(early) == (409, "totp_state")
        made = (await browser.post("/v1/auth/totp", json=_KNOWN)).json()
        code = {"code": wrong_code(made["secret"])}
        refused = await browser.post("/v1/auth/totp/confirm", json=code)
        assert _outcome(refused) == (401, "code_wrong")
        assert (await log_in(browser, ADA)).json()["status"] == "signed_in", "it is not on yet"


async def test_second_step_when_turned_off_is_not_asked_for(place: Office) -> None:
    await place.user(ADA)
    async with place.signed_in(ADA) as browser:
        await set_up(browser)
        again = await browser.post("/v1/auth/totp", json=_KNOWN)
        assert _outcome(again) == (409, "totp_state")
        assert (await browser.post("/v1/auth/totp/disable", json=_KNOWN)).status_code == 204
        assert (await log_in(browser, ADA)).json()["status"] == "signed_in"
