"""The reference pages say what the code says."""

import re
from pathlib import Path

from safelight import app, errors, events
from safelight.settings import Settings

_DOCS = Path(__file__).parent.parent.parent / "docs"
# Its default depends on who runs it, so the page names the usual place.
_PERSONAL = {"data_dir"}


def _table_row(page: str, first: str) -> list[str]:
    for line in (_DOCS / page).read_text().splitlines():
        if line.startswith(f"| `{first}` |"):
            return [cell.strip() for cell in line.strip("|").split("|")]
    raise AssertionError(f"{first} is not in docs/{page}")


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
    assert named == {name.upper() for name in Settings.model_fields}


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


def test_overview_page_when_an_event_type_exists_names_it() -> None:
    text = (_DOCS / "00-overview.md").read_text()
    assert {kind for kind in events.TYPES if f"`{kind}`" not in text} == set()
