"""Builds a mail from a notice and passes it to a carrier."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Protocol

from safelight import ids
from safelight.notifications.contact import CONFIRM, Contact
from safelight.notifications.notice import Content, Notice


class Carrier(Protocol):
    """Carries mail; raises `NotSentError`."""

    async def __call__(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Send one mail to one address."""
        ...

    async def check(self) -> None:
        """Connect and log in, and send nothing."""
        ...


class Mailer:
    """Sends mail from one address, such as ``Safelight <news@example.com>``."""

    def __init__(self, carry: Carrier, sender: str, base_url: str) -> None:
        self._carry = carry
        self._name, self._address = parseaddr(sender)
        self._base_url = base_url

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        """Send a notice. Its Message-ID stays the same when it is resent after a crash."""
        mail = self._new(contact.address, content, notice.id, notice.created_at)
        if notice.event["type"] != CONFIRM:
            # One-click unsubscribe (RFC 8058).
            mail["List-Unsubscribe"] = f"<{stop_url(self._base_url, contact)}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        await self._carry(mail, self._address, contact.address)

    async def letter(self, recipient: str, content: Content) -> None:
        """Send a mail to a user of this installation."""
        mail = self._new(recipient, content, ids.secret(), datetime.now(UTC))
        await self._carry(mail, self._address, recipient)

    async def check(self) -> None:
        await self._carry.check()

    def _new(self, recipient: str, content: Content, name: str, date: datetime) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = content.subject
        user, _, domain = self._address.rpartition("@")
        mail["From"] = Address(self._name, user, domain)
        to_user, _, to_domain = recipient.rpartition("@")
        mail["To"] = Address("", to_user, to_domain)
        mail["Date"] = date
        mail["Message-ID"] = f"<{name}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(content.text)
        mail.add_alternative(content.html, subtype="html")
        return mail


def stop_url(base_url: str, contact: Contact) -> str:
    """Return the contact's unsubscribe URL."""
    return f"{base_url}/contacts/{contact.id}/stop?token={contact.token}"


def confirm_url(base_url: str, contact: Contact) -> str:
    """Return the contact's confirmation URL."""
    return f"{base_url}/contacts/{contact.id}/confirm?code={contact.code}"
