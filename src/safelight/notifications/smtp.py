"""Carries mails to an SMTP server: by TLS, or STARTTLS where it is offered; with auth if given."""

from dataclasses import dataclass
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
# The mailbox is not there, is not here, or is no address: it will not be there later either.
_NO_MAILBOX = frozenset({550, 551, 553})


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails are handed in. Where auth is given, nothing is sent without TLS."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    implicit_tls: bool = False  # from the first byte, as on port 465

    async def __call__(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Hand one mail in."""
        # STARTTLS is a must before a password is said; None takes it where the server has it.
        start_tls = None if self.implicit_tls or not self.username else True
        try:
            await aiosmtplib.send(
                mail,
                sender=sender,
                recipients=[recipient],
                hostname=self.host,
                port=self.port,
                username=self.username or None,
                password=self.password or None,
                use_tls=self.implicit_tls,
                start_tls=False if self.implicit_tls else start_tls,
                timeout=_DEADLINE_S,
            )
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
