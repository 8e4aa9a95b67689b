"""Logins of people: passwords, sessions, roles, throttles; on either database."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest

from safelight.accounts import key_store
from safelight.accounts.account import Caller
from safelight.accounts.scopes import Role
from safelight.db import Connection
from safelight.errors import ServiceError
from safelight.identity import member_store, passwords, throttling
from safelight.web.auth import COOKIE
from tests import factories
from tests.people import PASSWORD, Office, log_in, office

ADA = "ada@example.com"


@pytest.fixture
async def place(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Office]:
    async with office(tmp_path / "data", database_url=migrated_database_url) as opened:
        yield opened


def _outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- passwords ----------------------------------------------------------------------------------


async def test_login_when_the_password_is_right_sets_a_strict_http_only_cookie(
    place: Office,
) -> None:
    await place.user("Ada@Example.com", role=Role.ADMIN)
    async with place.browser() as browser:
        answer = await log_in(browser, "ADA@example.COM")
        assert (answer.status_code, answer.json()["status"]) == (200, "signed_in")
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"))
        account = (await browser.get("/v1/account")).json()
        assert account["id"] == place.account_id
        assert account["scopes"] == sorted(Role.ADMIN.scopes)
        me = (await browser.get("/v1/auth/me")).json()
        assert (me["email"], me["accounts"][0]["role"]) == ("Ada@Example.com", "admin")


@pytest.mark.parametrize(
    "password", [" twelve or more ", "nul\0in the middle", "🐈 twelve or more"]
)
async def test_password_when_it_is_odd_is_kept_as_typed(place: Office, password: str) -> None:
    await place.user(ADA, password=password)
    async with place.browser() as browser:
        for wrong in (password.strip() + "x", password.replace("\0", ""), password[1:]):
            if wrong != password:
                assert _outcome(await log_in(browser, ADA, wrong)) == (401, "login_failed")
        assert (await log_in(browser, ADA, password)).status_code == 200


async def test_login_when_user_is_unknown_or_disabled_says_the_same_as_for_a_wrong_password(
    place: Office,
) -> None:
    await place.user(ADA)
    await place.user("root@example.com", is_operator=True, role=Role.ADMIN)
    gone = await place.user("gone@example.com")
    await place.safelight.services.identity.people.change(
        place.operator, gone.id, is_enabled=False, is_operator=None
    )
    said: list[dict[str, object]] = []
    async with place.browser() as browser:
        for email, password in (
            (ADA, "another password"),
            ("nobody@example.com", PASSWORD),
            ("gone@example.com", PASSWORD),
            ("not an address", PASSWORD),
        ):
            answer = await log_in(browser, email, password)
            assert "set-cookie" not in answer.headers
            said.append({**answer.json(), "request_id": ""})
    assert said == [said[0]] * 4
    assert (said[0]["status"], said[0]["code"]) == (401, "login_failed")


async def test_login_when_the_address_is_unknown_hashes_as_for_a_known_one(
    place: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    usual = anyio.to_thread.run_sync

    async def counted(function: Any, *args: Any, **more: Any) -> Any:
        checked.append(function.__name__)
        return await usual(function, *args, **more)

    await place.user(ADA)
    async with place.browser() as browser:
        await log_in(browser, "first@example.com")  # makes the dummy
        monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
        for email in ("nobody@example.com", ADA):
            checked.clear()
            await log_in(browser, email, "another password")
            assert len(checked) == 1, email


async def test_password_of_a_megabyte_when_sent_is_refused_before_any_hashing(
    place: Office,
) -> None:
    await place.user(ADA)
    async with place.browser() as browser:
        await log_in(browser, "x@example.com")  # all is loaded
        body = {"email": ADA, "password": "x" * 2**20}
        took: list[float] = []
        for _ in range(3):
            began = time.perf_counter()
            answer = await browser.post("/v1/auth/login", json=body)
            took.append(time.perf_counter() - began)
            assert _outcome(answer) == (422, "invalid_request")
            assert "xxxx" not in answer.text
    assert min(took) < 0.05


async def test_hashing_when_logins_come_at_once_leaves_the_event_loop_free(place: Office) -> None:
    await place.user(ADA)
    async with place.browser() as browser:
        gaps: list[float] = []

        async def beat() -> None:
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.001)
                gaps.append(time.perf_counter() - last)
                last = time.perf_counter()

        async with asyncio.TaskGroup() as group:
            beating = group.create_task(beat())
            await asyncio.gather(*(log_in(browser, f"{n}@example.com") for n in range(8)))
            beating.cancel()
    assert len(gaps) > 20
    assert sorted(gaps)[len(gaps) // 2] < 0.05


async def test_new_password_when_unfit_is_refused_with_the_reason(
    tmp_path: Path, migrated_database_url: str
) -> None:
    listed = tmp_path / "breached.txt"
    known = ["password12345", "correct horse battery", "qwertyuiop123"]
    hashes = sorted(_sha1(each) for each in [*known, *(f"filler {n}" for n in range(500))])
    listed.write_text("".join(f"{each}:{n}\r\n" for n, each in enumerate(hashes)))
    async with (
        office(
            tmp_path / "data", database_url=migrated_database_url, breached_passwords=listed
        ) as place,
        place.browser(key=place.key) as ops,
    ):
        for password, fits in (
            ("short", False),
            *((each, False) for each in known),
            ("filler 0 is longer", True),
        ):
            body = {"email": f"{len(password)}@example.com", "password": password}
            answer = await ops.post("/v1/admin/users", json=body)
            assert (answer.status_code == 201) is fits, password
            if not fits:
                assert answer.json()["code"] == "password_unfit"
                assert answer.json()["errors"][0]["field"] == "password"
        for n in range(0, 500, 7):
            assert passwords.is_listed(listed, f"filler {n}")
        assert not passwords.is_listed(listed, "not in it")


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().upper()


# --- throttles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("email", [ADA, "nobody@example.com"])
async def test_login_when_ten_passwords_were_wrong_is_refused_in_every_process(
    place: Office, tmp_path: Path, email: str
) -> None:
    await place.user(ADA)
    async with place.browser() as browser:
        for _ in range(10):
            assert _outcome(await log_in(browser, email, "wrong wrong wrong")) == (
                401,
                "login_failed",
            )
        locked = await log_in(browser, email)
        assert _outcome(locked) == (429, "too_many_attempts")
        assert int(locked.headers["retry-after"]) == 900
        other = await log_in(browser, "other@example.com")
        assert _outcome(other) == (401, "login_failed"), "others are not locked"
    # A second process on the same database knows.
    identity = place.safelight.services.identity
    fresh = type(identity.logins)(
        place.database,
        passwords.Passwords(),
        identity.second_step,
        place.safelight.services.access.sessions,
        place.safelight.services.access.authenticator,
        allowed=True,
    )
    with pytest.raises(Exception, match="Too many attempts"):
        await fresh.by_password(email, PASSWORD, address="10.0.0.9", account_id=None)


async def test_login_when_the_password_was_right_at_last_forgives_the_wrong_ones(
    place: Office,
) -> None:
    await place.user(ADA)
    async with place.browser() as browser:
        for _ in range(2):
            for _ in range(9):
                await log_in(browser, ADA, "wrong wrong wrong")
            assert (await log_in(browser, ADA)).status_code == 200


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (["10.0.0.1"], 100),
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::1"], 100),  # one customer's
        (["2001:db8::1", "2001:db8:1::1"], 120),
    ],
)
async def test_guesses_when_they_come_from_one_network_address_are_a_hundred(
    place: Office, addresses: list[str], allowed: int
) -> None:
    def guess(tx: Connection) -> int:
        return sum(
            throttling.guess(tx, f"{n}@example.com", addresses[n % len(addresses)])
            for n in range(120)
        )

    assert await place.database.write(guess) == allowed


async def test_hashing_when_too_many_wait_is_refused_for_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("safelight.identity.passwords._MOST_WAITING", 1)
    hashing = passwords.Passwords()
    done = await asyncio.gather(
        *(hashing.hash("long enough to hash") for _ in range(6)), return_exceptions=True
    )
    assert [each for each in done if isinstance(each, ServiceError)]
    assert [each for each in done if isinstance(each, str)]


# --- sessions -----------------------------------------------------------------------------------


async def test_login_when_a_session_is_open_replaces_it(place: Office) -> None:
    await place.user(ADA)
    async with place.browser() as browser:
        await log_in(browser, ADA)
        first = browser.cookies[COOKIE]
        await log_in(browser, ADA)
        assert browser.cookies[COOKIE] != first
        assert len((await browser.get("/v1/auth/sessions")).json()["data"]) == 1
        browser.cookies.set(COOKIE, first, domain="safelight.test", path="/")
    async with place.browser() as stale:
        stale.cookies.set(COOKIE, first)
        assert (await stale.get("/v1/account")).status_code == 401


async def test_sessions_when_revoked_by_their_owner_end_and_others_are_unknown(
    place: Office,
) -> None:
    await place.user(ADA)
    await place.user("bob@example.com")
    async with (
        place.signed_in(ADA) as here,
        place.signed_in(ADA) as there,
        place.signed_in("bob@example.com") as bob,
    ):
        listed = (await here.get("/v1/auth/sessions")).json()["data"]
        assert [each["current"] for each in listed] == [False, True]
        theirs = (await bob.get("/v1/auth/sessions")).json()["data"][0]["id"]
        assert (await here.delete(f"/v1/auth/sessions/{theirs}")).status_code == 404
        assert (await bob.get("/v1/account")).status_code == 200
        assert (await here.delete(f"/v1/auth/sessions/{listed[0]['id']}")).status_code == 204
        assert (await there.get("/v1/account")).status_code == 401
        async with place.signed_in(ADA) as third:
            assert (await here.delete("/v1/auth/sessions")).status_code == 204
            assert (await third.get("/v1/account")).status_code == 401
        assert (await here.get("/v1/account")).status_code == 200
        assert (await here.delete("/v1/session")).status_code == 204
        assert (await here.get("/v1/account")).status_code == 401


async def test_credentials_when_of_no_person_are_no_way_to_personal_routes(place: Office) -> None:
    async with place.browser() as browser:
        assert (await browser.post("/v1/session", json={"key": place.key})).status_code == 204
        assert _outcome(await browser.get("/v1/auth/me")) == (403, "person_needed")


async def test_login_link_when_made_by_a_person_opens_a_session_of_that_person(
    place: Office,
) -> None:
    user = await place.user(ADA, role=Role.ADMIN)
    async with place.signed_in(ADA) as here, place.browser() as there:
        url = (await here.post("/v1/login-links")).json()["url"]
        await there.get(url)
        assert (await there.get("/v1/auth/me")).json()["id"] == user.id


async def test_password_when_changed_needs_the_current_one_and_ends_other_sessions(
    place: Office,
) -> None:
    await place.user(ADA)
    new = "another long password"
    async with place.signed_in(ADA) as here, place.signed_in(ADA) as there:
        body = {"current_password": "not the password", "new_password": new}
        refused = await here.post("/v1/auth/password", json=body)
        assert _outcome(refused) == (403, "password_wrong")
        body["current_password"] = PASSWORD
        assert (await here.post("/v1/auth/password", json=body)).status_code == 204
        assert (await here.get("/v1/account")).status_code == 200
        assert (await there.get("/v1/account")).status_code == 401
        assert (await log_in(there, ADA)).status_code == 401
        assert (await log_in(there, ADA, new)).status_code == 200


async def test_login_when_the_setting_says_keys_only_is_refused_with_its_name(
    tmp_path: Path, migrated_database_url: str
) -> None:
    async with office(tmp_path / "data", database_url=migrated_database_url, login="keys") as place:
        await place.user(ADA)
        async with place.browser() as browser:
            refused = await log_in(browser, ADA)
            assert _outcome(refused) == (403, "login_off")
            assert "SAFELIGHT_LOGIN" in refused.json()["detail"]


async def test_session_of_a_person_when_the_setting_says_keys_only_by_now_is_refused(
    tmp_path: Path, migrated_database_url: str
) -> None:
    async with office(tmp_path / "data", database_url=migrated_database_url, login="keys") as place:
        user = await place.user(ADA)
        caller = Caller(place.account_id, "", frozenset(), user_id=user.id)
        session = await place.safelight.services.access.sessions.start(caller)
        async with place.browser() as browser:
            browser.cookies.set(COOKIE, session)
            assert _outcome(await browser.get("/v1/account")) == (403, "login_off")


# --- rights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
async def test_session_when_the_role_changes_has_its_scopes_at_once(
    place: Office, role: Role
) -> None:
    user = await place.user(ADA, role=role)
    await place.user("admin@example.com", role=Role.ADMIN)
    other = Role.VIEWER if role is Role.ADMIN else Role.ADMIN
    async with place.signed_in(ADA) as browser, place.browser(key=place.key) as ops:
        assert (await browser.get("/v1/account")).json()["scopes"] == sorted(role.scopes)
        changed = await ops.patch(f"/v1/members/{user.id}", json={"role": other.value})
        assert changed.status_code == 200
        assert (await browser.get("/v1/account")).json()["scopes"] == sorted(other.scopes)


async def is_open(place: Office, session: str) -> bool:
    """Return whether streams of the session would stay open."""
    return bool(await place.database.read(lambda tx: key_store.still_valid(tx, [session])))


async def test_session_when_the_user_is_disabled_or_removed_ends(place: Office) -> None:
    await place.user("root@example.com", is_operator=True, role=Role.ADMIN)
    ada, bob = await place.user(ADA), await place.user("bob@example.com")
    async with (
        place.signed_in(ADA) as disabled,
        place.signed_in("bob@example.com") as removed,
        place.browser(key=place.key) as ops,
    ):
        theirs = (await removed.get("/v1/auth/sessions")).json()["data"][0]["id"]
        assert await is_open(place, theirs)
        path = f"/v1/admin/users/{ada.id}"
        assert (await ops.patch(path, json={"enabled": False})).status_code == 200
        assert (await disabled.get("/v1/account")).status_code == 401
        assert (await ops.patch(path, json={"enabled": True})).status_code == 200
        assert (await disabled.get("/v1/account")).status_code == 401, "it stays ended"
        assert (await ops.delete(f"/v1/members/{bob.id}")).status_code == 204
        assert (await removed.get("/v1/account")).status_code == 401
        assert not await is_open(place, theirs), "open streams end as well"
        assert _outcome(await log_in(removed, "bob@example.com")) == (403, "no_account")


async def test_session_when_its_membership_is_gone_has_no_rights_even_if_not_revoked(
    place: Office,
) -> None:
    user = await place.user(ADA)
    authenticator = place.safelight.services.access.authenticator
    async with place.signed_in(ADA) as browser:
        session = (await browser.get("/v1/auth/sessions")).json()["data"][0]["id"]
        await place.database.write(lambda tx: member_store.remove(tx, place.account_id, user.id))
        authenticator.forget_person(user.id)
        assert (await browser.get("/v1/account")).status_code == 401
        assert not await is_open(place, session)


async def test_operator_when_the_last_one_cannot_be_disabled_or_demoted(place: Office) -> None:
    root = await place.user("root@example.com", is_operator=True)
    await place.user(ADA, role=Role.ADMIN)
    async with place.browser(key=place.key) as ops:
        path = f"/v1/admin/users/{root.id}"
        for change in ({"enabled": False}, {"operator": False}):
            assert _outcome(await ops.patch(path, json=change)) == (409, "last_one")
        await place.user("second@example.com", is_operator=True)
        assert (await ops.patch(path, json={"operator": False})).status_code == 200


async def test_admin_when_the_last_one_cannot_be_removed_demoted_or_disabled(
    place: Office,
) -> None:
    ada = await place.user(ADA, role=Role.ADMIN)
    await place.user("bob@example.com")
    async with place.browser(key=place.key) as ops:
        path = f"/v1/members/{ada.id}"
        assert _outcome(await ops.delete(path)) == (409, "last_one")
        assert _outcome(await ops.patch(path, json={"role": "viewer"})) == (409, "last_one")
        disabled = await ops.patch(f"/v1/admin/users/{ada.id}", json={"enabled": False})
        assert _outcome(disabled) == (409, "last_one")
        await place.user("second@example.com", role=Role.ADMIN)
        assert (await ops.delete(path)).status_code == 204


async def test_operators_when_demoted_at_once_leave_one(place: Office) -> None:
    both = [await place.user(f"{n}@example.com", is_operator=True) for n in range(2)]
    await place.user("admin@example.com", role=Role.ADMIN)
    async with place.browser(key=place.key) as ops:
        answers = await asyncio.gather(
            *(ops.patch(f"/v1/admin/users/{one.id}", json={"operator": False}) for one in both)
        )
        assert sorted(each.status_code for each in answers) == [200, 409]


async def test_role_when_beyond_the_caller_s_own_is_not_granted(place: Office) -> None:
    user = await place.user(ADA)
    keys = place.safelight.services.access.keys
    scopes = frozenset({scope for scope in Role.ADMIN.scopes if scope.startswith("account:")})
    narrow = await keys.create(place.account_id, "narrow", scopes=scopes)
    async with place.browser(key=narrow.secret) as client:
        for answer in (
            await client.patch(f"/v1/members/{user.id}", json={"role": "admin"}),
            await client.post("/v1/invitations", json={"email": "x@example.com", "role": "member"}),
            await client.delete(f"/v1/members/{user.id}"),
        ):
            assert _outcome(answer) == (403, "scope_not_held")


async def test_person_when_of_two_accounts_picks_one_and_switches(place: Office) -> None:
    user = await place.user(ADA)
    other = await factories.new_account(place.database, "second")
    await place.user("boss@example.com", account_id=other, role=Role.ADMIN)
    await place.database.write(lambda tx: member_store.add(tx, other, user.id, Role.VIEWER))
    async with place.browser() as browser:
        answer = await log_in(browser, ADA)
        assert answer.json()["account_id"] == place.account_id
        assert [each["id"] for each in answer.json()["accounts"]] == [place.account_id, other]
        before = browser.cookies[COOKIE]
        switched = await browser.post("/v1/auth/switch", json={"account_id": other})
        assert switched.json()["account_id"] == other
        assert (await browser.get("/v1/account")).json()["scopes"] == sorted(Role.VIEWER.scopes)
        assert browser.cookies[COOKIE] != before
        unknown = await browser.post("/v1/auth/switch", json={"account_id": "acc_unknown"})
        assert _outcome(unknown) == (403, "no_account")
        assert (await log_in(browser, ADA, account_id=other)).json()["account_id"] == other
