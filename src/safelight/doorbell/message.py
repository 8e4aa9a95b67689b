"""Encodes rings between processes as small JSON messages with sender and topics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import orjson

_LONGEST_TOPIC = 200


class NotAMessage(ValueError):
    """The received data is not a valid message."""


@dataclass(frozen=True, slots=True)
class Message:
    """Rings sent by one process to the others."""

    sender: str
    topics: frozenset[str]


def fits(topic: str) -> bool:
    """Return whether `topic` can be sent: printable ASCII, and short enough for every wire."""
    return len(topic) <= _LONGEST_TOPIC and topic.isascii() and topic.isprintable()


def write(sender: str, topics: Iterable[str], most_bytes: int) -> Iterator[str]:
    """Yield the fewest messages of at most `most_bytes` with all `topics`; each must fit."""
    room = most_bytes - len(_encode(sender, []))
    gathered: list[str] = []
    used = 0
    for topic in topics:
        size = len(orjson.dumps(topic)) + 1  # plus a comma
        if gathered and used + size > room:
            yield _encode(sender, gathered)
            gathered, used = [], 0
        gathered.append(topic)
        used += size
    if gathered:
        yield _encode(sender, gathered)


def read(text: str | bytes) -> Message:
    """Parse a message; raises NotAMessage if it is malformed."""
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise NotAMessage("not JSON") from None
    if not isinstance(document, dict):
        raise NotAMessage("not an object")
    fields = cast("dict[str, object]", document)
    sender, topics = fields.get("sender"), fields.get("topics")
    if not isinstance(sender, str) or not isinstance(topics, list):
        raise NotAMessage("`sender` or `topics` is missing")
    named = cast("list[object]", topics)
    return Message(sender, frozenset(topic for topic in named if isinstance(topic, str)))


def _encode(sender: str, topics: list[str]) -> str:
    return orjson.dumps({"sender": sender, "topics": topics}).decode()
