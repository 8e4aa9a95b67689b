"""People from the command line to the browser: users, sign-in, two steps, invitations, security."""

import asyncio
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from pyotp.totp import TOTP

from tests.acceptance.conftest import RunningServer, command, environment
from tests.mailbox import Mailbox, body_of, mailbox
from tests.people import PASSWORD
from tests.servers import free_port

DEADLINE_S = 60
ADA, BOB = "ada@example.com", "bob@example.com"
NEW = "another long password"
REFUSED = "the server responded with a status of 4"


def cli(data_dir: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command, with what is typed into it."""
    return subprocess.run(
        command(*words),
        check=False,
        capture_output=True,
        text=True,
        input=typed,
        timeout=DEADLINE_S,
        env=environment(data_dir),
    )


def done(data_dir: Path, *words: str, typed: str = "") -> str:
    """Return what a command printed; it must succeed."""
    ended = cli(data_dir, *words, typed=typed)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


# --- the command line ---------------------------------------------------------------------------


def test_users_when_made_and_changed_by_command_are_listed_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done(data, "users", "create", ADA, "--operator", "--password-stdin", typed=f"{PASSWORD}\n")
    link = done(data, "users", "create", BOB, "--role", "viewer")
    assert "/password#token=tok_" in link
    assert "/password#token=tok_" in done(data, "users", "reset-password", "Bob@Example.com")
    done(data, "users", "disable", BOB)
    listed = done(data, "users", "list")
    assert "operator" in listed
    assert "disabled" in listed
    last = cli(data, "users", "disable", ADA)
    assert last.returncode == 2
    assert "last operator" in last.stderr
    unknown = cli(data, "users", "enable", "x@example.com")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "safelight users list" in unknown.stderr
    short = cli(data, "users", "create", "c@example.com", "--password-stdin", typed="short\n")
    assert short.returncode == 2
    assert "at least 12 characters" in short.stderr


def test_members_when_invited_and_changed_by_command_are_listed_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done(data, "users", "create", ADA, "--operator", "--password-stdin", typed=f"{PASSWORD}\n")
    done(data, "users", "create", BOB, "--role", "viewer")
    assert "/invitation#token=tok_" in done(data, "members", "invite", "c@example.com")
    done(data, "members", "role", BOB, "member")
    assert "member" in done(data, "members", "list").split(BOB)[1].splitlines()[0]
    words = done(data, "members", "invitations").split()
    invited = next(word for word in words if word.startswith("inv_"))
    done(data, "members", "revoke", invited)
    assert "revoked" in done(data, "members", "invitations")
    done(data, "members", "remove", BOB)
    assert BOB not in done(data, "members", "list")
    wrong = cli(data, "members", "role", ADA, "king")
    assert wrong.returncode == 2


# --- listening ----------------------------------------------------------------------------------


@pytest.fixture
def everywhere(tmp_path: Path) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_HOST": "0.0.0.0"})  # noqa: S104  as asked
    yield server
    server.close()


def test_serve_when_others_could_connect_and_nobody_has_a_password_is_refused_with_remedies(
    tmp_path: Path,
) -> None:
    place = {"SAFELIGHT_HOST": "0.0.0.0", "SAFELIGHT_PORT": str(free_port())}  # noqa: S104  as asked
    ended = subprocess.run(
        command("serve", "--no-samples"),
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(tmp_path / "data", place),
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    for remedy in ("safelight users create", "SAFELIGHT_LOGIN=keys", "SAFELIGHT_HOST=127.0.0.1"):
        assert remedy in line


def test_serve_when_others_can_connect_and_an_operator_has_a_password_starts(
    everywhere: RunningServer,
) -> None:
    words = ("users", "create", ADA, "--operator", "--password-stdin")
    done(everywhere.data_dir, *words, typed=f"{PASSWORD}\n")
    everywhere.start()


# --- the browser --------------------------------------------------------------------------------


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as running:
        yield running


@pytest.fixture
async def studio(
    page: Page, complaints: list[str], box: Mailbox, tmp_path: Path
) -> AsyncIterator[RunningServer]:
    """A server with an operator who has a password; the browser may not complain."""
    page.set_default_timeout(15_000)
    server = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_MAIL_URL": f"smtp://127.0.0.1:{box.port}",
            "SAFELIGHT_MAIL_FROM": "Safelight <news@safelight.test>",
        },
    )
    await asyncio.to_thread(server.start)
    words = ("users", "create", ADA, "--operator", "--password-stdin")
    await asyncio.to_thread(done, server.data_dir, *words, typed=f"{PASSWORD}\n")
    try:
        yield server
    finally:
        await asyncio.to_thread(server.close)
    assert [each for each in complaints if REFUSED not in each] == []


async def sign_in(page: Page, server: RunningServer, password: str = PASSWORD) -> None:
    await page.goto(f"{server.url}/signin")
    await page.get_by_label("E-mail address").fill(ADA)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def link_from(box: Mailbox, count: int) -> str:
    mail = (await box.arrivals(count))[count - 1]
    return next(word for word in body_of(mail).split() if word.startswith("http"))


@pytest.mark.slow
async def test_person_when_signing_in_by_two_steps_sees_the_studio(
    page: Page, studio: RunningServer
) -> None:
    await sign_in(page, studio, "wrong wrong wrong")
    await expect(page.get_by_role("alert").first).to_contain_text("password is wrong")
    await sign_in(page, studio)
    await expect(page.get_by_label("Describe the picture")).to_be_visible()
    await page.goto(f"{studio.url}/security")
    await expect(page.get_by_text(f"{ADA} (not confirmed yet)")).to_be_visible()
    totp = page.locator('[data-form="totp"]')
    await totp.get_by_label("Current password").fill(PASSWORD)
    await totp.get_by_role("button", name="Set up").click()
    await expect(page.locator("[data-secret]")).to_have_text(re.compile("[A-Z2-7]{32}"))
    secret = await page.locator("[data-secret]").inner_text()
    code = page.locator('[data-form="totp-confirm"]')
    await code.get_by_label("Code").fill(TOTP(secret).now())
    await code.get_by_role("button", name="Turn on").click()
    await expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    await expect(page.locator("[data-codes] li")).to_have_count(10)
    await sign_in(page, studio)
    # The next step's code, which is taken early: the present one is used up.
    following = TOTP(secret).at(time.time() + 30)
    await page.get_by_label("Code of your authenticator app").fill(following)
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_label("Describe the picture")).to_be_visible()


@pytest.mark.slow
async def test_person_when_the_password_is_forgotten_chooses_another_by_mail(
    page: Page, studio: RunningServer, box: Mailbox
) -> None:
    await page.goto(f"{studio.url}/signin")
    await page.get_by_role("link", name="Forgot the password?").click()
    await page.get_by_label("E-mail address").fill(ADA)
    await page.get_by_role("button", name="Send a link").click()
    await expect(page.get_by_text("a link is on its way")).to_be_visible()
    await page.goto(await link_from(box, 1))
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The password is saved")).to_be_visible()
    await sign_in(page, studio, NEW)
    await expect(page.get_by_label("Describe the picture")).to_be_visible()


@pytest.mark.slow
async def test_person_when_invited_accepts_and_ends_sessions(
    page: Page, studio: RunningServer, box: Mailbox
) -> None:
    await asyncio.to_thread(done, studio.data_dir, "members", "invite", BOB)
    await page.goto(await link_from(box, 1))
    welcome = f"{BOB} is invited to the account local as member"
    await expect(page.get_by_text(welcome)).to_be_visible()
    await page.get_by_label("Choose a password").fill(NEW)
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_label("Describe the picture")).to_be_visible()
    await page.goto(f"{studio.url}/security")
    await expect(page.get_by_text(f"{BOB} (confirmed)")).to_be_visible()
    await expect(page.locator("[data-sessions] li")).to_have_count(1)
    password = page.locator('[data-form="password"]')
    await password.get_by_label("Current password").fill(NEW)
    await password.get_by_label("New password").fill(PASSWORD)
    await password.get_by_role("button", name="Change").click()
    await expect(page.get_by_text("The password is changed")).to_be_visible()
    assert (await box.arrivals(2))[1]["To"] == BOB
