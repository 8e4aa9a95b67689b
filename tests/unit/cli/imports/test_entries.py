"""Lists become entries one by one, whatever is in them; what cannot be sent says why."""

import io
import json
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from safelight.cli.failure import BadUse
from safelight.cli.imports.entries import Entry, Form, form_of, read_entries
from safelight.cli.imports.lines import MAX_LINE, as_text, open_list, read_lines
from safelight.cli.imports.report import Report
from safelight.cli.tags import read_tags, write_tags

A = "https://a.example/1.jpg"
B = "https://b.example/2.jpg"


def entries(content: str | bytes, form: Form, url_column: str = "url") -> list[Entry]:
    data = content if isinstance(content, bytes) else content.encode()
    lines = read_lines(as_text(io.BytesIO(data)), threading.Event())
    return list(read_entries("list", lines, form, url_column))


def faults(found: list[Entry]) -> list[tuple[int, str]]:
    return [(entry.line, entry.fault) for entry in found if entry.fault]


# --- text ----------------------------------------------------------------------------------------


def test_text_when_it_has_comments_blanks_and_a_bom_yields_the_addresses() -> None:
    found = entries(f"\ufeff{A}\r\n\r\n  # a comment\n\t{B} \n", Form.TXT)
    assert found == [Entry(1, A), Entry(4, B)]


def test_text_when_a_line_is_no_address_goes_on_behind_it() -> None:
    found = entries(f"photo.jpg\n{A}\nftp://a.example/x\n{B}", Form.TXT)
    assert faults(found) == [
        (1, "not an http or https address"),
        (3, "not an http or https address"),
    ]
    assert [entry.url for entry in found if not entry.fault] == [A, B]


def test_text_when_a_line_is_endless_goes_on_behind_it() -> None:
    long = b"https://a.example/" + b"x" * (3 * MAX_LINE)
    found = entries(long + f"\n{B}\n".encode(), Form.TXT)
    assert found == [Entry(1, "", fault="longer than 65536 characters"), Entry(2, B)]


@pytest.mark.parametrize("tail", ["x" * 5000, "\x00", "\x1b[2J", "\x85x", "\u2028x"])
def test_text_when_an_address_is_hostile_is_at_fault(tail: str) -> None:
    (found,) = entries(f"https://a.example/{tail}", Form.TXT)
    assert found.fault
    assert len(found.url) <= 4096


@pytest.mark.parametrize("letter", "\u202f\u3000\u00a0\u200c\u202e")
def test_text_when_an_address_has_invisible_letters_encodes_them(letter: str) -> None:
    assert entries(f"{A}?{letter}b", Form.TXT) == [Entry(1, f"{A}?{quote(letter)}b")]


@pytest.mark.parametrize("form", Form)
def test_list_when_a_line_cannot_be_decoded_tells_it_and_goes_on(form: Form) -> None:
    head = b'"url"\n' if form is Form.CSV else b""
    found = entries(head + f'"{A}M\u00fcller"\n"{B}"\n'.encode("cp1252"), form)
    lines = head.count(b"\n") + 1
    told = [(line, text) for line, text in faults(found) if "cannot be decoded as UTF-8" in text]
    assert [line for line, _ in told] == [lines]
    assert "--encoding" in told[0][1]
    assert "\ufffd" not in "".join(entry.url for entry in found)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16-le", "utf-16-le"),
        ("cp1252", "windows-1252"),
    ],
)
def test_list_when_saved_by_a_spreadsheet_is_read(
    codec: str, named: str | None, end: str, tmp_path: Path
) -> None:
    path = tmp_path / "urls.csv"
    path.write_bytes(end.join(["url;name", f"{A};M\u00fcller", f"{B};Na\u00efve"]).encode(codec))
    with open_list(str(path), threading.Event(), named) as file:
        found = list(read_entries("list", read_lines(file, threading.Event()), Form.CSV))
    assert found == [Entry(2, A, name="M\u00fcller"), Entry(3, B, name="Na\u00efve")]


def test_list_when_its_beginning_cannot_be_decoded_is_refused_with_the_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "urls.csv"
    path.write_bytes(f"url,name\r\n{A},M\u00fcller\r\n".encode("cp1252"))
    with pytest.raises(BadUse, match=r"line 2 cannot be decoded as UTF-8; .* --encoding"):
        open_list(str(path), threading.Event())
    with pytest.raises(BadUse, match="no encoding 'klingon'"):
        open_list(str(path), threading.Event(), "klingon")


@pytest.mark.parametrize("head", ["url,note,note", "url,Tags,tags", "note,url,url"])
def test_table_when_a_column_is_doubled_is_refused(head: str) -> None:
    with pytest.raises(BadUse, match="more than once"):
        entries(f"{head}\n{A},b,c\n", Form.CSV)


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("cat,dog", ("cat", "dog")),
        (" cat , dog ,", ("cat", "dog")),
        ("cat;dog|fox", ("cat", "dog", "fox")),
        ("black, white;dog", ("black, white", "dog")),
        ('"black, white",dog', ("black, white", "dog")),
        ('"a;b|c"', ("a;b|c",)),
        ('5" tall, big', ('5" tall', "big")),
        ('"say ""hi"""', ('say "hi"',)),
        ("", ()),
    ],
)
def test_tags_when_a_cell_holds_several_are_taken_apart(cell: str, tags: tuple[str, ...]) -> None:
    quoted = cell.replace('"', '""')
    (found,) = entries(f'url,tags\n{A},"{quoted}"\n', Form.CSV)
    assert found.tags == tags
    assert tuple(read_tags(write_tags(tags))) == tags


# --- CSV -----------------------------------------------------------------------------------------


def test_table_when_read_knows_its_columns_and_keeps_others_as_metadata() -> None:
    content = (
        "\ufeffName;URL;tags;external_id;colour;size\r\n"
        f'"A; B";{A};"summer; blue | x";0042;red;\r\n'
        "\r\n;;;;;\r\n"
        f";{B};;;;7\r\n"
    )
    assert entries(content, Form.CSV) == [
        Entry(2, A, "0042", "A; B", ("summer", "blue", "x"), {"colour": "red"}),
        Entry(5, B, metadata={"size": "7"}),
    ]


def test_table_when_the_addresses_stand_elsewhere_takes_that_column() -> None:
    assert entries(f"id,Image Src\n7,{A}\n", Form.CSV, "image src") == [
        Entry(2, A, metadata={"id": "7"})
    ]


def test_table_when_metadata_is_json_merges_it() -> None:
    (found,) = entries(f'url,metadata,a\n{A},"{{""b"": [1]}}",2\n', Form.CSV)
    assert found.metadata == {"a": "2", "b": [1]}
    assert entries(f"url,metadata\n{A},plain\n", Form.CSV)[0].metadata == {"metadata": "plain"}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",7", "no url"),
        (f"{A},7,8", "3 cells for 2 columns"),
        (f'{A},"7"x', "not CSV"),
        (f'{A},"never closed', "not CSV"),
        (f"{A},{'x' * MAX_LINE}", "not CSV"),
        (f'{A},"{"x" * 20_000}"', "metadata is larger"),
    ],
)
def test_table_when_a_row_is_broken_tells_its_line_and_loses_no_other(row: str, says: str) -> None:
    rest = "".join(f"https://a.example/{number},x\n" for number in range(100))
    found = entries(f"url,note\n{B},first\n{row}\n{rest}", Form.CSV)
    ((line, fault),) = faults(found)
    assert line == 3
    assert fault.startswith(says)
    assert len(found) == 102


def test_table_when_a_cell_spans_lines_is_one_record() -> None:
    found = entries(f'url,note\n{A},"one\ntwo"\n{B},x\n', Form.CSV)
    assert [(entry.line, entry.metadata) for entry in found] == [
        (2, {"note": "one\ntwo"}),
        (4, {"note": "x"}),
    ]


@pytest.mark.parametrize("head", ["address,name", A, '"url'])
def test_table_when_no_column_holds_addresses_is_refused(head: str) -> None:
    with pytest.raises(BadUse, match=r"--url-column|not CSV"):
        entries(f"{head}\n{A}\n", Form.CSV)


def test_table_when_it_is_a_report_of_failures_sends_what_the_list_said(tmp_path: Path) -> None:
    report = Report(tmp_path / "failures.csv")
    told = {"line": "9", "job_id": "job_1", "code": "fetch_failed", "message": "=no"}
    sent = {"url": A, "external_id": "-7", "name": "'x", "tags": "a;b", "metadata": '{"c":[1]}'}
    report.add([told | sent])

    content = (tmp_path / "failures.csv").read_bytes()

    assert b",'-7," in content
    assert b",'=no," in content
    assert entries(content, Form.CSV) == [Entry(2, A, "-7", "'x", ("a", "b"), {"c": [1]})]


# --- JSON lines ----------------------------------------------------------------------------------


def test_json_lines_when_read_take_objects_and_plain_addresses() -> None:
    whole = {
        "url": A,
        "external_id": 7,
        "name": "n",
        "tags": ["a", "b"],
        "metadata": {"c": 1},
        "d": None,
        "e": [2],
    }
    found = entries(f'{json.dumps(whole)}\n\n"{B}"\n', Form.JSONL)
    assert found == [
        Entry(1, A, "7", "n", ("a", "b"), {"c": 1, "e": [2]}),
        Entry(3, B),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("7", "neither an object nor an address"),
        ("{}", "no url"),
        ('{"url": 7}', "not an http or https address"),
        (f'{{"url": "{A}", "metadata": {{"x": NaN}}}}', "not JSON"),
        (f'{{"url": "{A}", "name": "\\ud800"}}', "not JSON"),
        ("[" * 30_000, "not JSON"),
        (f'{{"url": "{A}", "x": {"[" * 500}{"]" * 500}}}', "metadata is not plain JSON"),
    ],
)
def test_json_lines_when_one_is_hostile_tell_its_line_and_go_on(text: str, says: str) -> None:
    found = entries(f'{text}\n"{B}"', Form.JSONL)
    ((line, fault),) = faults(found)
    assert line == 1
    assert fault.startswith(says)
    assert found[1] == Entry(2, B)


# --- which form, and what is none ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "chosen", "form"),
    [
        ("urls.txt", None, Form.TXT),
        ("urls", None, Form.TXT),
        ("URLS.CSV", None, Form.CSV),
        ("urls.ndjson", None, Form.JSONL),
        ("urls.txt", "csv", Form.CSV),
        ("-", None, Form.TXT),
        ("-", "jsonl", Form.JSONL),
    ],
)
def test_form_when_not_chosen_follows_the_name(name: str, chosen: str | None, form: Form) -> None:
    assert form_of(name, chosen) is form


def test_form_when_there_is_none_such_is_refused() -> None:
    with pytest.raises(BadUse, match="--format"):
        form_of("urls.txt", "xml")


def test_list_when_it_is_binary_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "urls.csv"
    binary.write_bytes(b"url\n\x00\x01https://a.example")
    with pytest.raises(BadUse, match="not a list"):
        open_list(str(binary), threading.Event())


def test_lines_when_the_command_stops_end() -> None:
    stopping = threading.Event()
    lines = read_lines(as_text(io.BytesIO(b"a\nb\nc\n")), stopping)
    assert next(lines).text == "a"
    stopping.set()
    assert list(lines) == []


def test_entry_when_only_an_address_is_given_is_sent_as_one() -> None:
    assert Entry(1, A).wanted() == A
    assert Entry(1, A, "7", tags=("a",)).wanted() == {"url": A, "external_id": "7", "tags": ["a"]}
