"""Messages between processes: what they hold, how they are split, and what is none."""

import pytest

from safelight.doorbell import message
from safelight.doorbell.outbox import Outbox


def test_read_when_written_gives_sender_and_topics() -> None:
    (text,) = message.write("me", ["lane:gpu", "halt"], 1000)
    assert message.read(text) == message.Message("me", frozenset({"lane:gpu", "halt"}))


def test_write_when_topics_are_many_makes_few_messages_that_fit() -> None:
    topics = [f'subject:"{number:030}' for number in range(1000)]
    texts = list(message.write("me", topics, 7_900))
    assert max(len(text.encode()) for text in texts) <= 7_900
    assert len(texts) == 6
    assert [topic for text in texts for topic in sorted(message.read(text).topics)] == topics


def test_write_when_there_is_nothing_to_say_says_nothing() -> None:
    assert list(message.write("me", [], 100)) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"topics": []}', '{"sender": 1, "topics": []}', b"\xff"]
)
def test_read_when_it_is_no_message_refuses(text: str | bytes) -> None:
    with pytest.raises(message.NotAMessage):
        message.read(text)


def test_read_when_some_topics_are_no_names_leaves_them_out() -> None:
    assert message.read('{"sender": "x", "topics": ["a", 1, null]}').topics == {"a"}


def test_outbox_when_a_topic_comes_again_keeps_it_once() -> None:
    outbox = Outbox()
    outbox.add(["lane:gpu"] * 1000)
    assert outbox.take() == ["lane:gpu"]
    assert outbox.take() == []


def test_outbox_when_full_forgets_the_oldest_subjects_before_any_lane() -> None:
    outbox = Outbox(most_topics=3)
    outbox.add(["subject:1", "lane:a", "subject:2", "lane:b", "lane:c", "subject:3"])
    assert set(outbox.take()) == {"lane:a", "lane:b", "lane:c"}


def test_outbox_when_lanes_alone_fill_it_stays_bounded() -> None:
    outbox = Outbox(most_topics=3)
    outbox.add([f"lane:{number}" for number in range(10)])
    assert outbox.take() == ["lane:7", "lane:8", "lane:9"]


@pytest.mark.parametrize("topic", ["lane:" + "x" * 200, "lane:\U0001f514", "lane:\n", "\ud800"])
def test_outbox_when_a_topic_cannot_travel_leaves_it_here(topic: str) -> None:
    outbox = Outbox()
    outbox.add([topic])
    assert outbox.take() == []
