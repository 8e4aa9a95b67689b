"""The journal remembers what counts, survives being torn, and is nobody else's file."""

from pathlib import Path

import pytest

from safelight.cli.failure import BadUse
from safelight.cli.imports.chunks import Chunk
from safelight.cli.imports.entries import Entry
from safelight.cli.imports.journal import ItemOutcome, Journal

CHUNK = Chunk(0, 0, (Entry(2, "https://a.example/1"), Entry(3, "https://a.example/2")))


def begun(path: Path) -> Journal:
    journal = Journal.open(path, anew=False)
    journal.begin("acc_1", ["x"])
    return journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of one chunk that ended and one that was sent."""
    path = tmp_path / "urls.txt.safelight-import.jsonl"
    journal = begun(path)
    journal.sending(CHUNK)
    journal.sent(0, "bat_1")
    journal.finished(0, ItemOutcome(1, {"fetch_failed": 1}, 321))
    journal.sending(Chunk(1, 2, (Entry(4, "https://a.example/3"),)))
    journal.sent(1, "bat_2")
    journal.close()
    return path


def test_journal_when_opened_again_knows_what_was_done(path: Path) -> None:
    first = path.read_bytes()
    journal = Journal.open(path, anew=False)
    journal.close()

    assert (journal.chunks[0].size, journal.chunks[0].mark) == (2, CHUNK.mark())
    assert journal.chunks[0].lines == (2, 3)
    assert journal.chunks[0].outcome == ItemOutcome(1, {"fetch_failed": 1}, 321)
    assert (journal.chunks[1].batch_id, journal.chunks[1].outcome) == ("bat_2", None)
    assert journal.report_length == 321
    assert f'"run_id":"{journal.run_id}"'.encode() in first


def test_journal_when_its_last_line_is_torn_forgets_only_that(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])

    journal = Journal.open(path, anew=False)
    assert journal.chunks[1].batch_id == ""
    journal.sent(1, "bat_2")
    journal.close()

    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b'{"type":"run","version":99}', b'{"type":"other"}', b'{"type":"sent"}'],
)
def test_journal_when_a_line_is_not_its_own_is_refused(path: Path, line: bytes) -> None:
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(BadUse, match=r"line 7.*--restart"):
        Journal.open(path, anew=False)


def test_journal_when_begun_anew_forgets_all_and_is_another_run(path: Path) -> None:
    before = Journal.open(path, anew=False)
    before.close()
    journal = Journal.open(path, anew=True)
    journal.close()
    assert journal.chunks == {}
    assert journal.run_id != before.run_id
    assert path.read_bytes() == b""


def test_journal_when_it_is_another_file_is_not_emptied(tmp_path: Path) -> None:
    other = tmp_path / "precious.txt"
    other.write_text("keep me\n")
    for anew in (True, False):
        with pytest.raises(BadUse):
            Journal.open(other, anew=anew)
    assert other.read_text() == "keep me\n"


def test_journal_when_another_command_holds_it_is_refused(path: Path) -> None:
    held = Journal.open(path, anew=False)
    with pytest.raises(BadUse, match="Another command"):
        Journal.open(path, anew=False)
    held.close()
    Journal.open(path, anew=False).close()


def test_journal_when_its_folder_is_missing_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(BadUse, match="--journal"):
        Journal.open(tmp_path / "gone" / "journal", anew=False)


def test_run_when_the_account_or_the_tags_are_others_is_refused(path: Path) -> None:
    journal = Journal.open(path, anew=False)
    journal.begin("acc_1", ["x"])
    with pytest.raises(BadUse, match="another account"):
        journal.begin("acc_2", ["x"])
    with pytest.raises(BadUse, match="--tag x"):
        journal.begin("acc_1", [])
    journal.close()


def test_journal_when_it_has_no_file_remembers_all_the_same() -> None:
    journal = Journal()
    journal.begin("acc_1", [])
    journal.sending(CHUNK)
    journal.sent(0, "bat_1")
    assert journal.chunks[0].batch_id == "bat_1"
