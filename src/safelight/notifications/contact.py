"""Contacts: recipients of mail, SMS or topic notifications, with their consent. Pure rules."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email

from safelight import events, ids
from safelight.webhooks.endpoint import FINAL_EVENTS, matches, unknown_patterns

MOST_CONTACTS = 10  # per account
MOST_CODES = 5  # sent to a contact until it confirms
MOST_GUESSES = 5  # at one code
MOST_SINGLE = 20  # messages to a person per hour; the rest is gathered into one
CODE_LASTS = timedelta(hours=24)

ENDED = frozenset(FINAL_EVENTS)
DISABLED = "delivery.disabled"
CONFIRM = "contact.confirm"  # not in the event log, like the next three
TEST = "contact.test"
DIGEST = "contact.digest"
GATHERED = "contact.gathered"

# The events people can subscribe to; others would be too frequent.
_FOR_PEOPLE = frozenset({*FINAL_EVENTS, DISABLED})

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


class Channel(StrEnum):
    """The notification channel of a contact."""

    EMAIL = "email"
    SMS = "sms"
    SNS = "sns"  # a topic of Amazon SNS, for machines


USUAL_EVENTS: dict[Channel, list[str]] = {
    Channel.EMAIL: ["job.succeeded", "job.failed", "batch.finished", DISABLED],
    Channel.SMS: [],  # each costs money: only on a job's request
    Channel.SNS: list(FINAL_EVENTS),
}


@dataclass(frozen=True, slots=True)
class Contact:
    """One row of `contacts`."""

    id: str
    account_id: str
    channel: Channel
    address: str
    events: list[str]  # event types; a trailing `*` matches a prefix
    digest: bool  # ends of jobs and batches daily instead of one by one
    code: str = field(repr=False)  # authorizes confirmation; empty once confirmed
    code_until: datetime | None
    codes: int  # sent so far
    guesses: int  # at the current code
    token: str = field(repr=False)  # authorizes unsubscribing
    digested_on: str  # the day of the last digest, as YYYY-MM-DD
    created_at: datetime
    confirmed_at: datetime | None
    stopped_at: datetime | None
    stopped_reason: str

    def wants(self, event_type: str) -> bool:
        """Return whether it is notified of events of that type as they happen."""
        if self.digest and event_type in ENDED:
            return False
        return any(matches(pattern, event_type) for pattern in self.events)


def checked_address(channel: Channel, text: str, topics: Sequence[str]) -> str:
    """Return the normalized address; raise `ValueError`, with a reason, if it is invalid.

    `topics` are those allowed for publishing.
    """
    if channel is Channel.EMAIL:
        try:
            return validate_email(text, check_deliverability=False).normalized
        except EmailNotValidError as error:
            raise ValueError(str(error)) from None
    if channel is Channel.SMS:
        number = re.sub(r"[ ().-]", "", text)
        if not _PHONE.fullmatch(number):
            raise ValueError("a phone number starts with + and the country code: +49 151 23456789")
        return number
    if not _TOPIC.fullmatch(text):
        raise ValueError("a topic is an ARN: arn:aws:sns:REGION:ACCOUNT:NAME")
    if text not in topics:
        raise ValueError("this installation does not publish to this topic")
    return text


def unknown_events(channel: Channel, patterns: Sequence[str]) -> list[str]:
    """Return the `patterns` that match no event available to that channel."""
    return unknown_patterns(patterns, events.TYPES if channel is Channel.SNS else _FOR_PEOPLE)


def new_code(channel: Channel) -> str:
    """Return a confirmation code: a word for a link, or digits to type for SMS."""
    return f"{secrets.randbelow(10**6):06}" if channel is Channel.SMS else ids.secret()


def names(contact: Contact, named: Sequence[str]) -> bool:
    """Return whether a job's or batch's `notify` includes this contact, by id or channel."""
    return contact.id in named or contact.channel.value in named
