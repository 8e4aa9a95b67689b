"""What a contact is: somebody who is told by mail or SMS, or a topic, and whether they said yes."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email

from safelight import events, ids
from safelight.webhooks.endpoint import FINAL_EVENTS, matches, unknown_patterns

MOST_CONTACTS = 10  # of an account
MOST_CODES = 5  # sent to a contact until it confirms
MOST_GUESSES = 5  # at one code
MOST_SINGLE = 20  # messages to a person in an hour; the rest of it comes as one
CODE_LASTS = timedelta(hours=24)

ENDED = frozenset(FINAL_EVENTS)
DISABLED = "delivery.disabled"
CONFIRM = "contact.confirm"  # not in the event log, as are the next three
TEST = "contact.test"
DIGEST = "contact.digest"
GATHERED = "contact.gathered"

# What people are told of: of the rest there would be no end.
_FOR_PEOPLE = frozenset({*FINAL_EVENTS, DISABLED})

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")


class Channel(StrEnum):
    """By what a contact is told."""

    EMAIL = "email"
    SMS = "sms"
    SNS = "sns"  # a topic of Amazon SNS, for machines


USUAL_EVENTS: dict[Channel, list[str]] = {
    Channel.EMAIL: ["job.succeeded", "job.failed", "batch.finished", DISABLED],
    Channel.SMS: [],  # each costs money: only what a job asks for
    Channel.SNS: list(FINAL_EVENTS),
}


@dataclass(frozen=True, slots=True)
class Contact:
    """One row of `contacts`."""

    id: str
    account_id: str
    channel: Channel
    address: str
    events: list[str]  # types, with `*` at the end for all that begin so
    digest: bool  # ends of jobs and batches once a day, not one by one
    code: str  # proves who confirms; empty once confirmed
    code_until: datetime | None
    codes: int  # sent so far
    guesses: int  # at the present code
    token: str  # whoever has it may end it all
    digested_on: str  # the last day that a digest was made for, as YYYY-MM-DD
    created_at: datetime
    confirmed_at: datetime | None
    stopped_at: datetime | None
    stopped_reason: str

    def wants(self, event_type: str) -> bool:
        """Say whether it is told of events of that type as they happen."""
        if self.digest and event_type in ENDED:
            return False
        return any(matches(pattern, event_type) for pattern in self.events)


def checked_address(channel: Channel, text: str, topics: Sequence[str]) -> str:
    """Return an address in its usual form; raise `ValueError`, with a reason, for what is none.

    `topics` are those that may be published to.
    """
    if channel is Channel.EMAIL:
        try:
            return validate_email(text, check_deliverability=False).normalized
        except EmailNotValidError as error:
            raise ValueError(str(error)) from None
    if channel is Channel.SMS:
        number = re.sub(r"[ ().-]", "", text)
        if not _PHONE.fullmatch(number):
            raise ValueError("a phone number begins with + and the country: +49 151 23456789")
        return number
    if not _TOPIC.fullmatch(text):
        raise ValueError("a topic is an ARN: arn:aws:sns:REGION:ACCOUNT:NAME")
    if text not in topics:
        raise ValueError("this topic is not among those that this installation publishes to")
    return text


def unknown_events(channel: Channel, patterns: Sequence[str]) -> list[str]:
    """Return those of `patterns` that a contact of that channel is never told of."""
    return unknown_patterns(patterns, events.TYPES if channel is Channel.SNS else _FOR_PEOPLE)


def new_code(channel: Channel) -> str:
    """Return what proves that a message arrived: a word for a link, or digits to be typed."""
    return f"{secrets.randbelow(10**6):06}" if channel is Channel.SMS else ids.secret()


def names(contact: Contact, named: Sequence[str]) -> bool:
    """Say whether the `notify` of a job or batch means this contact: by its id or its channel."""
    return contact.id in named or contact.channel.value in named
