"""The source of Safelight as syntax: its modules, and what each says, calls and imports."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src"


@cache
def modules() -> dict[str, Path]:
    """Return each module's file by the module's name."""
    found: dict[str, Path] = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def forget() -> None:
    """Let go of the syntax trees."""
    tree.cache_clear()
    nodes.cache_clear()


def short(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def where(path: Path, node: ast.expr | ast.stmt) -> str:
    return f"{short(path)}:{node.lineno}"


def docstring(path: Path) -> str:
    return ast.get_docstring(tree(path)) or ""


def calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call with the last part of the name that is called."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
                yield node, name
            case _:
                pass


def texts(path: Path) -> Iterator[tuple[ast.expr, str]]:
    """Yield each string that is no docstring."""
    docstrings = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        match node:
            case ast.Constant(str(text)) if id(node) not in docstrings:
                yield node, text
            case _:
                pass


@cache
def imports(name: str) -> frozenset[str]:
    """Return what a module imports: modules of ours in full, else the module that is named."""
    found: set[str] = set()
    for node in nodes(modules()[name]):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                full = f"{node.module}.{one.name}"
                found.add(full if full in modules() else node.module)
    return frozenset(found)
