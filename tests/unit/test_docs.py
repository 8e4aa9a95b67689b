"""The reference pages say what the code says, and their links and file names lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelight import app, errors, events
from safelight.settings import Settings, known_names

_ROOT = Path(__file__).parent.parent.parent
_DOCS = _ROOT / "docs"
_SOURCE = _ROOT / "src" / "safelight"
_PAGES = sorted([*_ROOT.glob("*.md"), *_DOCS.rglob("*.md")])
_DECISIONS = sorted((_DOCS / "decisions").glob("0*.md"))
# Their defaults depend on who runs it, so the page names the usual places.
_PERSONAL = {"data_dir", "config_dir"}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FILE = re.compile(r"[\w./]+\.(?:py|toml|md|mjs|sh)")
_SECTIONS = ["Context", "Decision", "Consequences", "Alternatives"]


def _table_row(page: str, first: str) -> list[str]:
    for line in (_DOCS / page).read_text().splitlines():
        if line.startswith(f"| `{first}` |"):
            return [cell.strip() for cell in line.strip("|").split("|")]
    raise AssertionError(f"{first} is not in docs/{page}")


def _anchor(heading: str) -> str:
    """Return the anchor that a repository host gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {_anchor(line) for line in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


def _broken_links(page: Path) -> Iterator[str]:
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield link


def test_settings_page_when_a_setting_exists_describes_it_with_its_default() -> None:
    for name, field in Settings.model_fields.items():
        _, default, meaning = _table_row("settings.md", f"SAFELIGHT_{name.upper()}")
        assert meaning == field.description
        if name not in _PERSONAL:
            shown = "" if field.get_default() is None else field.get_default()
            text = str(shown).lower() if isinstance(shown, bool) else str(shown)
            assert default.strip("`") == (text if text.strip("*") else "empty")


def test_settings_page_when_it_names_a_setting_that_setting_exists() -> None:
    named = set(re.findall(r"SAFELIGHT_(\w+)", (_DOCS / "settings.md").read_text()))
    assert named == {name.upper() for name in known_names()}


def test_errors_page_when_a_code_exists_gives_its_status_and_remedy() -> None:
    assert app  # imports every package, and so every error
    for code, kind in errors.codes().items():
        _, status, remedy, _ = _table_row("errors.md", code)
        assert (status, remedy) == (str(kind.status), kind.remedy.value)


def test_errors_when_listed_have_one_class_a_code() -> None:
    pending: list[type[errors.SafelightError]] = [errors.SafelightError]
    seen: list[str] = []
    while pending:
        kind = pending.pop()
        seen.append(kind.code)
        pending.extend(kind.__subclasses__())
    assert len(seen) == len(set(seen))


def test_architecture_page_when_an_event_type_exists_names_it() -> None:
    text = (_DOCS / "architecture.md").read_text()
    assert {kind for kind in events.TYPES if f"`{kind}`" not in text} == set()


def test_architecture_page_when_a_package_exists_has_it_in_its_layout() -> None:
    layout = (_DOCS / "architecture.md").read_text().split("## ")[1]
    found = {path.stem for path in _SOURCE.iterdir() if not path.name.startswith((".", "__"))}
    assert {name for name in found if f"`{name}`" not in layout} == set()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_page_when_it_links_within_the_repository_leads_somewhere(page: Path) -> None:
    assert list(_broken_links(page)) == []


@pytest.mark.parametrize(
    "page", [_DOCS / "architecture.md", *_DECISIONS], ids=lambda page: page.name
)
def test_page_when_it_names_a_file_of_the_code_that_file_exists(page: Path) -> None:
    named = {
        name
        for span in re.findall(r"`([^`\n]+)`|\[([^\]]+)\]", page.read_text())
        for name in span
        if _FILE.fullmatch(name)
    }
    places = (_SOURCE, _ROOT, _ROOT / "docs")
    assert {name for name in named if not any((at / name).exists() for at in places)} == set()


@pytest.mark.parametrize("page", _DECISIONS, ids=lambda page: page.name)
def test_decision_when_recorded_has_the_form_of_the_template_and_is_indexed(page: Path) -> None:
    title, *lines = page.read_text().splitlines()
    assert re.match(rf"# {page.name[:4]} \S", title)
    assert {line.split(":")[0] for line in lines if re.match(r"- \w+: ", line)} >= {
        "- Status",
        "- Date",
    }
    assert [line[3:] for line in lines if line.startswith("## ")] == _SECTIONS
    assert f"({page.name})" in (_DOCS / "decisions" / "README.md").read_text()


def test_security_page_when_it_names_a_test_that_test_exists() -> None:
    rows = [
        line
        for line in (_DOCS / "security.md").read_text().split("## Rotating keys")[0].splitlines()
        if line.startswith("| ") and not line.startswith(("| who or what", "| risk", "| chapter"))
    ]
    assert rows
    for row in rows:
        found = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row)
        assert found, f"this row names no test: {row}"
        for path, name in found:
            assert f"def {name}(" in (_ROOT / "tests" / path).read_text(), f"{path}::{name}"
