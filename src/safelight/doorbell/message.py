"""Rings between processes: small JSON messages that name their sender and the topics that rang."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import orjson

_LONGEST_TOPIC = 200


class NotAMessage(ValueError):
    """What came over the wire is something else."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one process tells the others."""

    sender: str
    topics: frozenset[str]


def fits(topic: str) -> bool:
    """Return whether `topic` can travel: plain ASCII, and short enough for every wire."""
    return len(topic) <= _LONGEST_TOPIC and topic.isascii() and topic.isprintable()


def write(sender: str, topics: Iterable[str], most_bytes: int) -> Iterator[str]:
    """Yield as few messages of at most `most_bytes` as hold all `topics`, each of which fits."""
    room = most_bytes - len(_encode(sender, []))
    gathered: list[str] = []
    used = 0
    for topic in topics:
        size = len(orjson.dumps(topic)) + 1  # with its comma
        if gathered and used + size > room:
            yield _encode(sender, gathered)
            gathered, used = [], 0
        gathered.append(topic)
        used += size
    if gathered:
        yield _encode(sender, gathered)


def read(text: str | bytes) -> Message:
    """Return the message that `text` is; raises NotAMessage where it is none."""
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
