"""Jobs are moved by the database's clock, or by monotonic differences: never by a process's own."""

import re
from pathlib import Path

import safelight

_ROOT = Path(safelight.__file__).parent
_OWN_CLOCK = re.compile(r"datetime\.(now|utcnow|today)\(|\btime\.time(_ns)?\(")


def test_engine_when_it_needs_the_time_never_asks_its_own_process() -> None:
    modules = [path for room in ("jobs", "worker") for path in (_ROOT / room).rglob("*.py")]
    assert len(modules) > 30
    asked = [path.name for path in modules if _OWN_CLOCK.search(path.read_text())]
    assert asked == []
