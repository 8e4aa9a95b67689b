"""A mail server for tests: it keeps what it takes, and refuses what a test says."""

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.servers import wait_until_async

USER, PASSWORD = "safelight", "p:ss/w@rd"


@dataclass
class Mailbox:
    """The received mail; `answers` go to the next recipients, `ends` to the next messages."""

    port: int = 0
    got: list[EmailMessage] = field(default_factory=list[EmailMessage])
    answers: list[str] = field(default_factory=list[str])
    ends: list[str] = field(default_factory=list[str])
    secure: list[bool] = field(default_factory=list[bool])

    async def handle_RCPT(  # noqa: N802  named by its caller
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802  likewise
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        answer = self.ends.pop(0) if self.ends else "250 OK"
        if answer.startswith("250"):
            self.got.append(message_from_bytes(content, EmailMessage, policy=policy.default))
            transport = server.transport
            assert transport is not None
            self.secure.append(transport.get_extra_info("ssl_object") is not None)
        return answer

    async def arrivals(self, count: int, within_s: float = 15) -> list[EmailMessage]:
        """Return what has come once it is so many."""
        await wait_until_async(lambda: self._has(count), deadline_s=within_s)
        return self.got

    async def _has(self, count: int) -> bool:
        return len(self.got) >= count


def body_of(mail: EmailMessage, kind: str = "plain") -> str:
    """Return the text of a mail, or its HTML."""
    part = mail.get_body((kind,))
    assert part is not None
    return part.get_content()


def link_in(mail: EmailMessage, word: str) -> str:
    """Return the address in a mail that says this."""
    found = re.search(rf"https?://\S*/{word}\?\S+", body_of(mail))
    assert found, body_of(mail)
    return found[0]


@asynccontextmanager
async def mailbox(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, auth: bool = False
) -> AsyncIterator[Mailbox]:
    """Take mails while the context is open; with `tls` by STARTTLS, or from the first byte."""
    box = Mailbox()

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    def serve() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # it cannot know of TLS around it
            return smtp()

    def smtp() -> SMTP:
        return SMTP(
            box,
            hostname="sink.test",
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            authenticator=check if auth else None,
            auth_required=auth,
            auth_require_tls=not implicit,
        )

    server = await asyncio.get_running_loop().create_server(
        serve, "127.0.0.1", 0, ssl=tls if implicit else None
    )
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
