"""Sends mail to an SMTP server, with TLS, or STARTTLS if offered, and optional authentication."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

import aiosmtplib
from aiosmtplib import (
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from safelight.notifications.notice import NotSentError

_DEADLINE_S = 30.0
_PERMANENT = 500
# Mailbox unavailable, not local, or invalid: permanent.
_NO_MAILBOX = frozenset({550, 551, 553})


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """An SMTP server. With credentials, TLS is required."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    implicit_tls: bool = False  # from the first byte, as on port 465

    async def __call__(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Send one mail."""
        async with self._connected() as client:
            await client.send_message(mail, sender=sender, recipients=[recipient])

    async def check(self) -> None:
        """Connect and log in, and send nothing."""
        async with self._connected() as client:
            await client.noop()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[aiosmtplib.SMTP]:
        # With a password STARTTLS is required; None means opportunistic.
        start_tls = None if self.implicit_tls or not self.username else True
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username or None,
            password=self.password or None,
            use_tls=self.implicit_tls,
            start_tls=False if self.implicit_tls else start_tls,
            timeout=_DEADLINE_S,
        )
        try:
            async with client:
                yield client
        except SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise _refused(refused.code, refused.message, recipient=True) from error
        except SMTPSenderRefused as error:
            raise _refused(error.code, error.message) from error
        except SMTPResponseException as error:
            raise _refused(error.code, error.message) from error
        except (SMTPException, OSError, TimeoutError) as error:
            raise NotSentError(f"The mail server could not be reached: {error}") from error


def _refused(code: int, message: str, *, recipient: bool = False) -> NotSentError:
    reason = f"The mail server answered {code} {message}"[:500]
    gone = recipient and code in _NO_MAILBOX
    return NotSentError(reason, hopeless=recipient and code >= _PERMANENT, gone=gone)
