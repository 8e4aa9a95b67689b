"""People for tests: an installation that sends mail to a mailbox, its operator, and browsers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from safelight.accounts.account import Caller
from safelight.accounts.scopes import OWNER_SCOPES, Role
from safelight.app import Safelight, open_safelight
from safelight.db.engine import Database, open_database
from safelight.identity.user import User
from safelight.settings import Settings
from tests import documented

PASSWORD = "correct horse battery"  # noqa: S105
URL = "https://safelight.test"


@dataclass(frozen=True)
class Office:
    """A server whose letters are carried, with one account and its operator's key."""

    safelight: Safelight
    database: Database
    account_id: str
    key: str

    @property
    def operator(self) -> Caller:
        return Caller(self.account_id, "key_operator", OWNER_SCOPES)

    async def user(
        self,
        email: str,
        *,
        role: Role = Role.MEMBER,
        password: str | None = PASSWORD,
        is_operator: bool = False,
        account_id: str = "",
    ) -> User:
        """Return a new user, a member of the account."""
        made = await self.safelight.services.identity.people.create(
            self.operator,
            email,
            password=password,
            is_operator=is_operator,
            account_id=account_id or self.account_id,
            role=role,
        )
        return made.person.user

    @asynccontextmanager
    async def browser(self, *, key: str = "", base: str = URL) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with cookies, or with an API key."""
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.safelight.asgi, raise_app_exceptions=False),
            base_url=base,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            event_hooks={"response": [documented.check]},
        ) as client:
            yield client

    @asynccontextmanager
    async def signed_in(self, email: str) -> AsyncIterator[httpx2.AsyncClient]:
        """A browser of a person."""
        async with self.browser() as browser:
            answer = await log_in(browser, email)
            assert answer.status_code == 200, answer.text
            yield browser


@asynccontextmanager
async def office(
    folder: Path, *, mail_port: int = 0, database_url: str = "", **settings: Any
) -> AsyncIterator[Office]:
    """Open an installation; letters go to the mail server at `mail_port`, if there is one."""
    mail = {"mail_url": f"smtp://127.0.0.1:{mail_port}", "mail_from": "news@example.com"}
    wanted = Settings.model_validate(
        {
            "data_dir": folder,
            "database_url": database_url,
            "min_free_bytes": 0,
            "public_url": URL,
            **(mail if mail_port else {}),
            **settings,
        }
    )
    async with open_safelight(wanted) as safelight:
        account = await safelight.services.accounts.ensure_first("local")
        made = await safelight.services.access.keys.create(account.id, "ops", scopes=OWNER_SCOPES)
        database = open_database(database_url or f"sqlite:///{folder / 'safelight.db'}")
        try:
            yield Office(safelight, database, account.id, made.secret)
        finally:
            await database.close()


async def log_in(
    browser: httpx2.AsyncClient, email: str, password: str = PASSWORD, **more: str
) -> httpx2.Response:
    """Try to sign in."""
    body = {"email": email, "password": password, **more}
    return await browser.post("/v1/auth/login", json=body)
