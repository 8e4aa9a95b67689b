"""Mails to people: resets, confirmations, invitations, and news of changes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from safelight.accounts.scopes import Role
from safelight.db import tables
from safelight.db.types import now
from tests import factories
from tests.mailbox import Mailbox, body_of, mailbox
from tests.people import PASSWORD, URL, Office, log_in, office

ADA, BOB = "ada@example.com", "bob@example.com"
NEW = "another long password"


@dataclass(frozen=True)
class Post:
    """An office whose letters are carried to a mailbox."""

    office: Office
    box: Mailbox

    async def token(self, count: int, path: str) -> str:
        """Return the token of the newest letter's link once so many letters came."""
        link = link_of((await self.box.arrivals(count))[count - 1])
        assert link.startswith(f"{URL}/{path}#token="), link
        return link.partition("=")[2]


def link_of(mail: EmailMessage) -> str:
    return next(word for word in body_of(mail).split() if word.startswith("http"))


@pytest.fixture
async def post(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Post]:
    async with (
        mailbox() as box,
        office(tmp_path / "d", mail_port=box.port, database_url=migrated_database_url) as place,
        asyncio.TaskGroup() as group,
    ):
        carrying = group.create_task(place.safelight.services.identity.post.run())
        yield Post(place, box)
        carrying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await carrying


def _outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def _forget(browser: httpx2.AsyncClient, email: str, **headers: str) -> httpx2.Response:
    return await browser.post("/v1/auth/forgotten", json={"email": email}, headers=headers)


async def _reset(browser: httpx2.AsyncClient, token: str, password: str = NEW) -> httpx2.Response:
    body = {"token": token, "password": password}
    return await browser.post("/v1/auth/reset", json=body)


# --- resets -------------------------------------------------------------------------------------


async def test_reset_link_when_used_sets_the_password_once_and_ends_all_sessions(
    post: Post,
) -> None:
    await post.office.user(ADA)
    async with post.office.signed_in(ADA) as here, post.office.browser() as browser:
        assert (await _forget(browser, "Ada@EXAMPLE.com")).status_code == 202
        token = await post.token(1, "password")
        short = await _reset(browser, token, "short")
        assert _outcome(short) == (422, "password_unfit")
        assert (await _reset(browser, token)).status_code == 204, "an unfit one costs no link"
        assert (await here.get("/v1/account")).status_code == 401
        assert (await log_in(browser, ADA)).status_code == 401
        assert (await log_in(browser, ADA, NEW)).status_code == 200
        assert _outcome(await _reset(browser, token)) == (403, "token_invalid")
        told = (await post.box.arrivals(2))[1]
        assert told["Subject"] == "Your password was changed"
        assert told["To"] == ADA


async def test_reset_link_when_used_twice_at_once_works_once(post: Post) -> None:
    await post.office.user(ADA)
    async with post.office.browser() as browser:
        await _forget(browser, ADA)
        token = await post.token(1, "password")
        answers = await asyncio.gather(*(_reset(browser, token) for _ in range(2)))
        assert sorted(each.status_code for each in answers) == [204, 403]


async def test_reset_tokens_when_used_old_or_of_another_purpose_are_refused_alike(
    post: Post,
) -> None:
    await post.office.user(ADA)
    await post.office.user(BOB)
    async with post.office.signed_in(BOB) as bob, post.office.browser() as browser:
        await _forget(browser, ADA)
        first = await post.token(1, "password")
        await _forget(browser, ADA)
        newest = await post.token(2, "password")
        body = {"current_password": PASSWORD, "email": "bob2@example.com"}
        assert (await bob.post("/v1/auth/email", json=body)).status_code == 202
        of_email = await post.token(3, "email")
        said = [
            {**(await _reset(browser, token)).json(), "request_id": ""}
            for token in (first, of_email, "tok_unknown", newest[:-1] + "!", "")
            if token
        ]
        assert said == [said[0]] * len(said)
        assert said[0]["code"] == "token_invalid"
        await post.office.database.write(
            lambda tx: tx.execute(
                sa.update(tables.user_tokens).values(expires_at=now(-timedelta(seconds=1)))
            )
        )
        assert _outcome(await _reset(browser, newest)) == (403, "token_invalid"), "an hour passed"
        assert (await log_in(browser, ADA)).status_code == 200, "nothing changed"
        assert (await log_in(browser, BOB)).status_code == 200


async def test_reset_token_when_of_one_user_changes_no_other(post: Post) -> None:
    await post.office.user(ADA)
    await post.office.user(BOB)
    async with post.office.browser() as browser:
        await _forget(browser, ADA)
        assert (await _reset(browser, await post.token(1, "password"))).status_code == 204
        assert (await log_in(browser, BOB)).status_code == 200
        assert (await log_in(browser, BOB, NEW)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
        {"Host": "127.0.0.1", "X-Forwarded-Proto": "http"},
    ],
)
async def test_reset_link_when_the_host_is_poisoned_leads_to_the_settings_host(
    post: Post, headers: dict[str, str]
) -> None:
    await post.office.user(ADA)
    async with post.office.browser() as browser:
        assert (await _forget(browser, ADA, **headers)).status_code == 202
        mail = (await post.box.arrivals(1))[0]
        assert link_of(mail).startswith(f"{URL}/password#")
        assert "evil" not in mail.as_string()
        rebound = await _forget(browser, ADA, Host="evil.example")
        assert _outcome(rebound) == (421, "misdirected")


async def test_reset_when_asked_for_often_sends_five_mails_an_hour_and_says_the_same(
    post: Post,
) -> None:
    await post.office.user(ADA)
    async with post.office.browser() as browser:
        known = [await _forget(browser, ADA) for _ in range(12)]
        unknown = [await _forget(browser, "nobody@example.com") for _ in range(3)]
        assert {(each.status_code, each.text) for each in known + unknown} == {(202, "")}
        await post.box.arrivals(5)
        for _ in range(15):
            await _forget(browser, ADA)
        assert _outcome(await _forget(browser, ADA)) == (429, "too_many_attempts")
    # A letter after those would come after them: letters are sent in order.
    await post.office.user("last@example.com")
    await post.office.database.write(lambda tx: tx.execute(sa.delete(tables.throttles)))
    async with post.office.browser() as browser:
        await _forget(browser, "last@example.com")
        arrived = await post.box.arrivals(6)
    assert [each["To"] for each in arrived] == [ADA] * 5 + ["last@example.com"]


async def test_mails_when_none_are_sent_here_name_the_setting_and_the_command(
    tmp_path: Path, migrated_database_url: str
) -> None:
    async with (
        office(tmp_path / "d", database_url=migrated_database_url) as place,
        place.browser() as browser,
    ):
        refused = await _forget(browser, ADA)
        assert _outcome(refused) == (503, "mail_missing")
        assert "SAFELIGHT_MAIL_URL" in refused.json()["detail"]
        assert "safelight users reset-password" in refused.json()["detail"]
        user = await place.user(ADA)
        async with place.browser(key=place.key) as ops:
            made = await ops.post(f"/v1/admin/users/{user.id}/reset-link")
        token = made.json()["url"].removeprefix(f"{URL}/password#token=")
        assert (await _reset(browser, token)).status_code == 204
        assert (await log_in(browser, ADA, NEW)).status_code == 200


async def test_tokens_when_stored_are_hashes(post: Post) -> None:
    await post.office.user(ADA)
    async with post.office.browser() as browser:
        await _forget(browser, ADA)
        token = await post.token(1, "password")
        rows = await post.office.database.read(
            lambda tx: repr(tx.execute(sa.select(tables.user_tokens)).all())
        )
        assert token not in rows
        assert token.removeprefix("tok_") not in rows


# --- addresses ----------------------------------------------------------------------------------


async def test_address_when_confirmed_by_its_mail_is_the_user_s_and_the_old_one_is_told(
    post: Post,
) -> None:
    await post.office.user(ADA)
    async with post.office.signed_in(ADA) as browser:
        body = {"current_password": "not the password", "email": "new@example.com"}
        refused = await browser.post("/v1/auth/email", json=body)
        assert _outcome(refused) == (403, "password_wrong")
        body["current_password"] = PASSWORD
        assert (await browser.post("/v1/auth/email", json=body)).status_code == 202
        token = await post.token(1, "email")
        assert (await browser.get("/v1/auth/me")).json()["email"] == ADA, "not before the click"
        path = "/v1/auth/email/confirm"
        assert (await browser.post(path, json={"token": token})).status_code == 204
        me = (await browser.get("/v1/auth/me")).json()
        assert me["email"] == "new@example.com"
        assert me["verified_at"] is not None
        assert _outcome(await browser.post(path, json={"token": token})) == (403, "token_invalid")
        told = (await post.box.arrivals(2))[1]
        assert told["To"] == ADA
        assert "new@example.com" in body_of(told)


async def test_address_when_another_user_s_is_not_given_and_nothing_tells(post: Post) -> None:
    await post.office.user(ADA)
    await post.office.user(BOB)
    async with post.office.signed_in(ADA) as browser:
        for email in ("free@example.com", "Bob@example.com"):
            body = {"current_password": PASSWORD, "email": email}
            answer = await browser.post("/v1/auth/email", json=body)
            assert (answer.status_code, answer.text) == (202, "")
        letters = await post.box.arrivals(2)
        (told,) = [each for each in letters if each["To"] != "free@example.com"]
        assert "token=" not in body_of(told)


# --- invitations --------------------------------------------------------------------------------


async def _invite(
    ops: httpx2.AsyncClient, email: str = BOB, role: str = "viewer"
) -> httpx2.Response:
    return await ops.post("/v1/invitations", json={"email": email, "role": role})


async def test_invitation_when_accepted_by_a_new_person_makes_a_verified_member_once(
    post: Post,
) -> None:
    async with post.office.browser(key=post.office.key) as ops, post.office.browser() as browser:
        made = await _invite(ops)
        assert (made.status_code, made.json()["url"]) == (201, None)
        token = await post.token(1, "invitation")
        shown = (await browser.post("/v1/invitations/look", json={"token": token})).json()
        assert shown == {"account": "local", "email": BOB, "role": "viewer", "has_user": False}
        body = {"token": token, "password": NEW}
        accepted = await browser.post("/v1/invitations/accept", json=body)
        assert accepted.json()["status"] == "signed_in"
        assert (await browser.get("/v1/account")).json()["scopes"] == sorted(Role.VIEWER.scopes)
        assert (await browser.get("/v1/auth/me")).json()["verified_at"] is not None
        again = await browser.post("/v1/invitations/accept", json=body)
        assert _outcome(again) == (403, "token_invalid")
        listed = (await ops.get("/v1/invitations")).json()["data"]
        assert listed[0]["accepted_at"] is not None
        assert _outcome(await _invite(ops)) == (409, "already_member")


async def test_invitation_when_the_address_has_a_user_is_joined_by_signing_in_alone(
    post: Post,
) -> None:
    other = await factories.new_account(post.office.database, "elsewhere")
    await post.office.user(BOB, account_id=other, role=Role.ADMIN)
    async with (
        post.office.browser(key=post.office.key) as ops,
        post.office.browser() as stranger,
        post.office.signed_in(BOB) as bob,
    ):
        await _invite(ops)
        assert len((await bob.get("/v1/auth/me")).json()["accounts"]) == 1, "not by mail alone"
        token = await post.token(1, "invitation")
        body = {"token": token, "password": NEW}
        taken = await stranger.post("/v1/invitations/accept", json=body)
        assert _outcome(taken) == (409, "email_taken")
        joined = await bob.post("/v1/invitations/join", json={"token": token})
        assert joined.json()["account_id"] == post.office.account_id
        assert (await bob.get("/v1/account")).json()["id"] == post.office.account_id
        assert (await log_in(stranger, BOB, NEW)).status_code == 401, "the password stayed"


async def test_invitation_when_revoked_or_of_another_account_opens_nothing(post: Post) -> None:
    async with post.office.browser(key=post.office.key) as ops, post.office.browser() as browser:
        invited = (await _invite(ops)).json()["id"]
        token = await post.token(1, "invitation")
        assert (await ops.delete(f"/v1/invitations/{invited}")).status_code == 204
        for path, body in (("look", {}), ("accept", {"password": NEW})):
            answer = await browser.post(f"/v1/invitations/{path}", json={"token": token, **body})
            assert _outcome(answer) == (403, "token_invalid")


async def test_invitations_when_sent_to_tagged_variants_count_as_one_mailbox(post: Post) -> None:
    async with post.office.browser(key=post.office.key) as ops:
        emails = [f"Victim+{n}@Example.com" for n in range(4)] + ["victim@example.com"]
        for email in emails:
            assert (await _invite(ops, email)).status_code == 201
        assert _outcome(await _invite(ops, "victim+x@example.com")) == (429, "too_many_attempts")
        await post.box.arrivals(5)
        assert (await _invite(ops, "other@example.com")).status_code == 201
        assert len(await post.box.arrivals(6)) == 6


@pytest.mark.parametrize("email", ["a@example.com\r\nBcc: b@example.com", "a\n@example.com", "a"])
async def test_invitation_when_the_address_holds_line_ends_is_refused(
    post: Post, email: str
) -> None:
    async with post.office.browser(key=post.office.key) as ops:
        assert _outcome(await _invite(ops, email)) == (422, "invalid_request")


async def test_invitation_when_no_mail_is_sent_has_its_link_and_verifies_nothing(
    tmp_path: Path, migrated_database_url: str
) -> None:
    async with (
        office(tmp_path / "d", database_url=migrated_database_url) as place,
        place.browser(key=place.key) as ops,
        place.browser() as browser,
    ):
        url = (await _invite(ops)).json()["url"]
        token = url.removeprefix(f"{URL}/invitation#token=")
        body = {"token": token, "password": NEW}
        assert (await browser.post("/v1/invitations/accept", json=body)).status_code == 200
        assert (await browser.get("/v1/auth/me")).json()["verified_at"] is None
