"""Sends letters to people from a bounded queue in memory, off the path of requests.

Their links contain secrets, which the database must not store: a crash loses unsent letters, and
the person asks again.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from safelight import telemetry
from safelight.errors import ServiceError
from safelight.identity.errors import MailMissing
from safelight.notifications.content import Templates
from safelight.notifications.mail import Mailer
from safelight.notifications.notice import NotSentError

_MOST = 1_000  # in the queue
_AT_ONCE = 4
_PAUSES_S = (0.0, 2.0, 15.0)  # before each try
_log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to a person: a title, a text, and a link with a secret, if it has one."""

    recipient: str
    title: str
    text: str
    path: str = ""  # below the base URL
    button: str = ""


class Post:
    """The outgoing letters of this process. The base URL comes from the settings alone."""

    def __init__(self, mailer: Mailer | None, templates: Templates, base_url: str) -> None:
        self._mailer = mailer
        self._templates = templates
        self._base_url = base_url
        self._queue: asyncio.Queue[Letter] = asyncio.Queue(_MOST)

    @property
    def is_open(self) -> bool:
        """Whether this installation sends mail."""
        return self._mailer is not None

    def check(self) -> None:
        """Raise `MailMissing` if this installation sends no mail."""
        if not self.is_open:
            raise MailMissing(
                "This installation sends no mail: set SAFELIGHT_MAIL_URL and SAFELIGHT_MAIL_FROM, "
                "or let an operator make the link: `safelight users reset-password EMAIL`."
            )

    def url_of(self, path: str) -> str:
        """Return the absolute URL of a path."""
        return f"{self._base_url}/{path}"

    def send(self, letter: Letter) -> None:
        """Queue a letter; raise `MailMissing`, or `ServiceError` while the queue is full."""
        self.check()
        try:
            self._queue.put_nowait(letter)
        except asyncio.QueueFull:
            raise ServiceError("Too many mails wait to be sent. Try again later.") from None

    def tell(self, letter: Letter) -> None:
        """Queue a letter if mail is sent at all; where the queue is full, only a log line tells."""
        if not self.is_open:
            return
        try:
            self._queue.put_nowait(letter)
        except asyncio.QueueFull:
            _log.error("letter dropped: too many wait to be sent", title=letter.title)

    async def run(self) -> None:
        """Send what is queued, until canceled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._carry())

    async def _carry(self) -> None:
        while True:
            letter = await self._queue.get()
            for pause_s in _PAUSES_S:
                await asyncio.sleep(pause_s)
                if await self._try(letter):
                    break

    async def _try(self, letter: Letter) -> bool:
        """Return whether the letter is done with: sent, or hopeless."""
        assert self._mailer is not None  # noqa: S101  else nothing is queued
        content = self._templates.letter(self._facts(letter))
        try:
            await self._mailer.letter(letter.recipient, content)
        except NotSentError as error:
            _log.warning("letter not sent", title=letter.title, error=str(error))
            return error.hopeless
        return True

    def _facts(self, letter: Letter) -> Mapping[str, str]:
        return {
            "title": letter.title,
            "text": letter.text,
            "url": self.url_of(letter.path) if letter.path else "",
            "button": letter.button,
            "address": letter.recipient,
            "base_url": self._base_url,
        }
