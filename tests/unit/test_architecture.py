"""The walls that neither import contracts nor lint can hold: sizes, names, purity, a job's moves.

architecture.toml lists the exceptions. One that is no exception any more fails too: take it off.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from safelight.jobs.job import MOVES
from tests import syntax
from tests.syntax import ROOT, SRC

_DOCS = ROOT / "docs"
_ADRS = _DOCS / "decisions"
_WRITTEN = (_DOCS, ROOT / "tests", ROOT / "bench", ROOT / "infra", ROOT / "scripts", SRC)
_PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
_EXCEPT: dict[str, Any] = tomllib.loads((Path(__file__).parent / "architecture.toml").read_text())

_MOST_LINES = 400
_MOST_MODULES = 20


@pytest.fixture(scope="module", autouse=True)
def _forgets() -> Iterator[None]:  # some 600 syntax trees are no load for the tests that follow
    yield
    syntax.forget()


# --- sizes --------------------------------------------------------------------------------------


def test_modules_when_they_are_long_have_a_named_reason() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in syntax.modules().values()}
    long = {syntax.short(path) for path, count in lines.items() if count > _MOST_LINES}
    assert long == set(_EXCEPT["long"]), "take it apart, or take it off the list"


def test_folders_when_they_are_full_have_a_named_reason() -> None:
    folders: dict[str, int] = {}
    for path in syntax.modules().values():
        if path.name != "__init__.py" and path.parent.name != "versions":
            folders[syntax.short(path.parent)] = folders.get(syntax.short(path.parent), 0) + 1
    full = {folder for folder, count in folders.items() if count > _MOST_MODULES}
    assert full == set(_EXCEPT["full"]), "make a room of its own, or take it off the list"


# --- documents ----------------------------------------------------------------------------------


def _drawn(text: str) -> Iterator[set[tuple[str, str, str]]]:
    """Yield the arrows of each state diagram of a job."""
    for block in re.findall(r"```mermaid\n\s*stateDiagram.*?```", text, re.DOTALL):
        if "queued" in block:
            arrows = re.findall(r"(\w+) *--> *(\w+)(?: *: *([^\n(]*))?", block)
            yield {
                (source, target, move.strip())
                for source, target, moves in arrows
                for move in moves.split(",")
            }


def test_state_diagram_when_a_page_has_one_draws_the_moves() -> None:
    drawn = [found for page in _DOCS.rglob("*.md") for found in _drawn(page.read_text())]
    assert drawn, "no page draws the moves of a job"
    made = {
        (source.value, target.value, move.value)
        for move, (sources, targets) in MOVES.items()
        for source in sources
        for target in targets
    }
    for found in drawn:
        assert found == made


def _written() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in _WRITTEN:
        for path in folder.rglob("*"):
            if path.suffix in {".md", ".py", ".sh", ".yml", ".toml"} and path != Path(__file__):
                yield path


def test_decisions_when_they_are_named_anywhere_exist() -> None:
    known = {path.name[:4] for path in _ADRS.glob("[0-9]*.md")}
    dead: list[str] = []
    for path in _written():
        text = path.read_text()
        named = re.findall(r"\bADRs?[ -]?(\d{4})", text)
        linked = re.findall(r"decisions/(\d{4}-[\w-]+\.md)", text)
        dead += [f"{path.name}: ADR {one}" for one in named if one not in known]
        dead += [f"{path.name}: {one}" for one in linked if not (_ADRS / one).exists()]
    assert dead == []


def test_pages_when_they_link_to_files_those_exist() -> None:
    dead = [
        f"{path.relative_to(ROOT)}: {link}"
        for path in _written()
        if path.suffix == ".md"
        for link in re.findall(r"\]\((?!\w+:)([^)#\s]+)", path.read_text())
        if not (path.parent / link).exists()
    ]
    assert dead == []


# --- language -----------------------------------------------------------------------------------

_BRITISH = re.compile(
    r"(?i)colour(?!space)|behaviour|favour|honour|neighbour|centre\b"
    r"|(recogn|organ|serial|initial|normal)is(e|ing)"
)
_HEADLESS = re.compile(r"(Who|What|Whoever|Whatever)\b")


def test_modules_when_they_hold_anything_say_first_what_they_are() -> None:
    silent = [
        syntax.short(path)
        for path in syntax.modules().values()
        if path.stat().st_size and not syntax.docstring(path).strip()
    ]
    assert silent == []


def _british() -> Iterator[str]:
    for path in SRC.rglob("*"):
        is_text = path.suffix in {".py", ".js", ".css", ".html", ".sms"}
        if is_text and "vendor" not in path.parts and _BRITISH.search(path.read_text()):
            yield syntax.short(path)


def _headless() -> Iterator[str]:
    for path in syntax.modules().values():
        if _HEADLESS.match(syntax.docstring(path)):
            yield syntax.short(path)


@pytest.mark.parametrize(("rule", "found"), [("british", _british), ("headless", _headless)])
def test_language_when_a_file_breaks_a_rule_it_is_an_old_debt(
    rule: str, found: Callable[[], Iterator[str]]
) -> None:
    broken, owed = set(found()), set(_EXCEPT["debts"][rule])
    assert broken - owed == set(), "write American English, with a noun or a verb first"
    assert owed - broken == set(), "these debts are paid: take them off the list"


# --- purity -------------------------------------------------------------------------------------


def _says_pure(name: str) -> bool:
    return bool(re.search(r"(?m)(^|[.!?] )Pure\.", syntax.docstring(syntax.modules()[name])))


def _pure() -> list[str]:
    """Return the modules that are pure by convention: they say `Pure.`, or hold errors."""
    return [one for one in syntax.modules() if one.endswith(".errors") or _says_pure(one)]


def _reaches_io(name: str) -> Iterator[str]:
    seen: set[str] = set()
    pending = [(name, name)]
    while pending:
        one, path = pending.pop()
        for other in syntax.imports(one) - seen - set(_EXCEPT["types_only"].get(one, ())):
            seen.add(other)
            if {other, other.partition(".")[0]} & set(_EXCEPT["io"]["libraries"]):
                yield f"{path} > {other}"
            elif other in syntax.modules():
                pending.append((other, f"{path} > {other}"))


def test_rules_when_they_are_named_as_their_package_say_that_they_are_pure() -> None:
    nouns = {name for name, path in syntax.modules().items() if f"{path.stem}s" == path.parent.name}
    assert {name for name in nouns if not _says_pure(name)} == set(_EXCEPT["no_rules"])


def test_pure_modules_when_they_import_never_reach_io() -> None:
    assert [chain for name in _pure() for chain in _reaches_io(name)] == []


def test_pure_modules_when_they_call_do_no_io() -> None:
    doing = [
        f"{syntax.where(path, call)}: {called}"
        for path in (syntax.modules()[name] for name in _pure())
        for call, called in syntax.calls(syntax.nodes(path))
        if called in _EXCEPT["io"]["calls"]
    ]
    assert doing == []


def test_types_only_when_listed_are_still_imported_by_a_pure_module() -> None:
    for name, others in _EXCEPT["types_only"].items():
        assert name in _pure()
        assert set(others) <= syntax.imports(name)


# --- calls --------------------------------------------------------------------------------------


def _task_groups(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that are task groups: made by a `with`, or taken as an argument."""
    names: set[str] = set()
    for node in nodes:
        match node:
            case ast.withitem(ast.Call(func=kind), ast.Name(name)):
                pass
            case ast.arg(name, ast.expr() as kind):
                pass
            case _:
                continue
        if ast.unparse(kind).endswith("TaskGroup"):
            names.add(name)
    return names


_MAKES_TASKS = {"create_task", "ensure_future", "run_coroutine_threadsafe"}


def _takes_alone(path: Path) -> Iterator[ast.stmt]:
    """Yield the imports that give a function that makes tasks a name of its own."""
    for node in syntax.nodes(path):
        if isinstance(node, ast.ImportFrom) and {one.name for one in node.names} & _MAKES_TASKS:
            yield node


def test_dicts_when_they_hold_anything_are_named_json_or_have_a_named_reason() -> None:
    loose = {
        str(path.relative_to(syntax.SRC))
        for path in syntax.modules().values()
        for node in syntax.nodes(path)
        if isinstance(node, ast.Subscript) and ast.unparse(node) == "dict[str, Any]"
    }
    loose = {place for place in loose if "/migrations/" not in place}
    assert loose == {"safelight/json_object.py", *_EXCEPT["loose_dicts"]}


def test_tasks_when_they_are_made_belong_to_a_group() -> None:
    loose: list[str] = []
    for path in syntax.modules().values():
        owners = _task_groups(syntax.nodes(path))
        loose += [syntax.where(path, one) for one in _takes_alone(path)]
        for call, called in syntax.calls(syntax.nodes(path)):
            if called in _MAKES_TASKS:
                owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
                name = f"{ast.unparse(owner)}.{called}"
                if ast.unparse(owner) not in owners and name != "asyncio.create_task":  # lint's
                    loose.append(syntax.where(path, call))
    assert loose == []


def test_errors_when_they_are_raised_are_our_own() -> None:
    raised = [
        syntax.where(path, node)
        for path in syntax.modules().values()
        for node in syntax.nodes(path)
        if isinstance(node, ast.Raise) and node.exc and "HTTPException" in ast.unparse(node.exc)
    ]
    assert raised == []


def test_imports_when_they_are_made_at_run_time_do_not_slip_past_the_contracts() -> None:
    hidden = [
        syntax.where(path, call)
        for path in syntax.modules().values()
        for call, called in syntax.calls(syntax.nodes(path))
        if called in {"__import__", "exec", "eval"} and isinstance(call.func, ast.Name)
    ]
    assert hidden == []


# --- the database -------------------------------------------------------------------------------

_RUNS_SQL = {"execute", "exec_driver_sql", "scalar", "scalars"}
_SPELLS_SQL = {"text", "exec_driver_sql", "literal_column"}
_SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|ALTER\s+TABLE)\s",
    re.DOTALL | re.IGNORECASE,
)
_SETS_STATUS = re.compile(r"\bUPDATE\s+jobs\b.*\bSET\b.*\bstatus\b", re.DOTALL | re.IGNORECASE)


def _is_store(name: str) -> bool:
    libraries = {one.partition(".")[0] for one in syntax.imports(name)}
    return "sqlalchemy" in libraries or name in _EXCEPT["own_connection"]


def test_sql_when_it_is_run_or_spelled_is_in_a_store() -> None:
    strays: list[str] = []
    for path in (path for name, path in syntax.modules().items() if not _is_store(name)):
        calls = syntax.calls(syntax.nodes(path))
        strays += [syntax.where(path, one) for one, called in calls if called in _RUNS_SQL]
        strays += [syntax.where(path, one) for one, text in syntax.texts(path) if _SQL.search(text)]
    assert strays == []


def test_sql_when_it_is_text_is_in_the_database_package_or_has_a_named_reason() -> None:
    spelling = {
        name
        for name, path in syntax.modules().items()
        if not name.startswith("safelight.db.") and _is_store(name)
        if any(called in _SPELLS_SQL for _, called in syntax.calls(syntax.nodes(path)))
    }
    assert spelling == set(_EXCEPT["sql_text"])


def _names_of_jobs(path: Path) -> set[str]:
    """Return the names of the table in a module: as imported, and as assigned from those."""
    names = {"tables.jobs"} | {
        one.asname or one.name
        for node in syntax.nodes(path)
        if isinstance(node, ast.ImportFrom) and node.module == "safelight.db.tables"
        for one in node.names
        if one.name == "jobs"
    }
    for node in syntax.nodes(path):
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in names:
            names |= {ast.unparse(target) for target in node.targets}
    return names


def _updates_of_jobs(path: Path) -> Iterator[ast.Call]:
    """Yield each chain of calls that starts with an UPDATE of jobs, whole."""
    names = _names_of_jobs(path)
    inner: set[int] = set()
    for chain, _ in syntax.calls(syntax.nodes(path)):  # from the outside in
        link: ast.expr = chain
        while isinstance(link, ast.Call) and isinstance(link.func, ast.Attribute):
            subjects = {ast.unparse(one) for one in (*link.args, link.func.value)}
            if link.func.attr == "update" and subjects & names and id(link) not in inner:
                yield chain
            inner.add(id(link))
            link = link.func.value


def _may_set_status(chain: ast.Call) -> bool:
    """Say whether an UPDATE sets the status, or columns that it does not spell out."""
    values = [call for call, called in syntax.calls(ast.walk(chain)) if called.endswith("values")]
    words = {word.arg for call in values for word in call.keywords}
    return not words or bool(words & {None, "status"}) or any(call.args for call in values)


def test_job_status_when_it_is_set_is_set_by_a_move() -> None:
    setting: list[str] = []
    for name, path in syntax.modules().items():
        texts = [one for one, text in syntax.texts(path) if _SETS_STATUS.search(text)]
        updates = [] if name == "safelight.jobs.ledger.moves" else _updates_of_jobs(path)
        guilty = [*texts, *(one for one in updates if _may_set_status(one))]
        setting += [syntax.where(path, one) for one in guilty]
    assert setting == []


# --- contracts ----------------------------------------------------------------------------------


def _in_contracts(field: str) -> set[str]:
    contracts = _PROJECT["tool"]["importlinter"]["contracts"]
    return {one for contract in contracts for one in contract.get(field, ())}


def test_dependencies_when_they_are_added_get_a_room() -> None:
    extras = _PROJECT["project"]["optional-dependencies"].values()
    needed = [*_PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    names = {re.split(r"[\[>=<~ ]", one)[0] for one in needed}
    renamed = _EXCEPT["dependencies"]["imported_as"]
    imports = {renamed.get(name, name.replace("-", "_")) for name in names}
    free = imports - _in_contracts("forbidden_modules")
    assert free == set(_EXCEPT["dependencies"]["everywhere"]), "say in a contract who may import it"


def test_remote_plugs_when_they_are_added_are_kept_apart() -> None:
    folder = SRC / "safelight/providers/remote"
    plugs = {
        f"safelight.providers.remote.{one.parent.name}" for one in folder.glob("*/__init__.py")
    }
    assert plugs - _in_contracts("modules") == set()
