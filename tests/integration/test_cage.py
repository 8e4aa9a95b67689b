"""The decoders' cage: a hostile function in a child is refused whatever it tries; see ADR 0021.

Each test runs as the user of the tests, and as root also as an ordinary one.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from safelight.cpu import CpuPool
from safelight.cpu.cage import cage, kernel, landlock, seccomp
from tests.syntax import ROOT

_REFUSED = (errno.EACCES, errno.EPERM, errno.EXDEV)


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "secret").write_text("sk-secret")
    (tmp_path / "input").write_text("input")
    return folder


# --- what a hostile function tries: each returns the number of the error that it meets ------------


def _error(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


def read_secret(folder: Path) -> int:
    return _error((folder.parent / "secret").read_text)


def read_secret_by_link(folder: Path) -> int:
    return _error(lambda: os.link(folder.parent / "secret", folder / "link"))


def read_secret_by_symlink(folder: Path) -> int:
    return _error(lambda: (folder / "symlink").symlink_to(folder.parent / "secret"))


def read_secret_by_root(folder: Path) -> int:
    return _error(Path(f"/proc/self/root{folder.parent / 'secret'}").read_text)


def read_passwords(_: Path) -> int:
    return _error(Path("/etc/passwd").read_text)


def list_parent(folder: Path) -> int:
    return _error(lambda: list(folder.parent.iterdir()))


def list_processes(_: Path) -> int:
    return _error(lambda: list(Path("/proc").iterdir()))


def write_input(folder: Path) -> int:
    return _error(lambda: (folder.parent / "input").write_text("other"))


def truncate_input(folder: Path) -> int:
    return _error(lambda: os.truncate(folder.parent / "input", 0))


def remove_input(folder: Path) -> int:
    return _error((folder.parent / "input").unlink)


def write_beside(folder: Path) -> int:
    return _error(lambda: (folder.parent / "new").write_text("x"))


def open_permissions(folder: Path) -> int:
    return _error(lambda: (folder.parent / "secret").chmod(0o777))


def set_times(folder: Path) -> int:
    return _error(lambda: os.utime(folder.parent / "secret"))


def set_attribute(folder: Path) -> int:
    return _error(lambda: os.setxattr(folder.parent / "secret", "user.x", b"y"))


def read_parents_environment(_: Path) -> int:
    return _error(Path(f"/proc/{os.getppid()}/environ").read_bytes)


def read_parents_memory(_: Path) -> int:
    return _error(Path(f"/proc/{os.getppid()}/mem").open)


def trace_parent(_: Path) -> int:
    return _error(lambda: _call("ptrace", 16, os.getppid(), 0, 0))  # attach


def kill_parent(_: Path) -> int:
    return _error(lambda: os.kill(os.getppid(), 0))


def limit_parent(_: Path) -> int:
    return _error(lambda: _call("prlimit", os.getppid(), 7, 0, 0))


def open_socket(_: Path) -> int:
    return _error(socket.socket)


def open_local_socket(_: Path) -> int:
    return _error(lambda: socket.socket(socket.AF_UNIX))


def open_pair(_: Path) -> int:
    return _error(socket.socketpair)


def execute(_: Path) -> int:
    return _error(lambda: os.execv(sys.executable, [sys.executable, "-c", ""]))


def run_program(_: Path) -> int:
    return _error(lambda: subprocess.run(["/bin/true"], check=True))


def fork(_: Path) -> int:
    return _error(os.fork)


def new_namespace(_: Path) -> int:
    return _error(lambda: _call("unshare", 0x10000000))  # a user namespace


def become_root(_: Path) -> int:
    return _error(lambda: _call("mount", b"none", b"/tmp", b"tmpfs", 0, 0))


def use_ring(_: Path) -> int:
    return _error(lambda: kernel.system_call(425, 1, bytes(120)))


def _call(name: str, *args: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


HOSTILE = (
    read_secret,
    read_secret_by_link,
    read_secret_by_symlink,
    read_secret_by_root,
    read_passwords,
    list_parent,
    list_processes,
    write_input,
    truncate_input,
    remove_input,
    write_beside,
    open_permissions,
    set_times,
    set_attribute,
    read_parents_environment,
    read_parents_memory,
    trace_parent,
    kill_parent,
    limit_parent,
    open_socket,
    open_local_socket,
    open_pair,
    execute,
    run_program,
    fork,
    new_namespace,
    become_root,
    use_ring,
)


def use_what_is_allowed(folder: Path) -> list[str]:
    """Read the input, write and rename in the folder, start a thread, and import a module."""
    import threading  # noqa: PLC0415  on purpose
    import wave  # noqa: F401, PLC0415  one that nothing has imported

    text = (folder.parent / "input").read_text()
    (folder / "sub").mkdir()
    (folder / "sub" / "made").write_text(text)
    (folder / "sub" / "made").rename(folder / "sub" / "named")
    thread = threading.Thread(target=(folder / "by-thread").write_text, args=("x",))
    thread.start()
    thread.join()
    (folder / "by-thread").unlink()
    with suppress(ProcessLookupError):
        os.kill(os.getpid(), 0)
    return [path.name for path in folder.rglob("*")]


def test_kernel_when_tests_run_on_it_has_every_part() -> None:
    assert cage.missing() == [], "the cage cannot be tested here"


@pytest.mark.parametrize("attempt", HOSTILE, ids=lambda attempt: attempt.__name__)
async def test_cage_when_a_function_is_hostile_refuses(
    attempt: Callable[[Path], int], pool: CpuPool, folder: Path
) -> None:
    found = await pool.run(attempt, folder, reads=[folder.parent / "input"], writes=[folder])
    assert found in _REFUSED, f"{errno.errorcode.get(found, 'no error')}"
    assert (folder.parent / "input").read_text() == "input"  # noqa: ASYNC240  a small file


async def test_cage_when_a_function_is_honest_lets_it_work(pool: CpuPool, folder: Path) -> None:
    found = await pool.run(
        use_what_is_allowed, folder, reads=[folder.parent / "input"], writes=[folder]
    )
    assert sorted(found) == ["named", "sub"]


async def test_cage_when_a_call_names_no_folder_writes_nowhere(pool: CpuPool, folder: Path) -> None:
    assert await pool.run(write_beside, folder) in _REFUSED


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all tests as one")
def test_cage_when_the_user_is_ordinary_refuses_too(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pathlib import Path\n"
        "from tests.integration.test_cage import all_refused\n"
        "asyncio.run(all_refused(Path(sys.argv[2])))"
    )
    tmp_path.chmod(0o777)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT), str(tmp_path)],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


async def all_refused(place: Path) -> None:
    """Try everything hostile in one pool, and say what was let through."""
    folder = place / "work"
    folder.mkdir()
    (place / "secret").write_text("sk-secret")
    (place / "input").write_text("input")
    pool = CpuPool(1)
    let: list[str] = []
    for attempt in HOSTILE:
        found = await pool.run(attempt, folder, reads=[place / "input"], writes=[folder])
        if found not in _REFUSED:
            let.append(f"{attempt.__name__}: {errno.errorcode.get(found, found)}")
    made = await pool.run(use_what_is_allowed, folder, reads=[place / "input"], writes=[folder])
    pool.close()
    assert sorted(made) == ["named", "sub"]
    assert not let, let


# --- the parent ----------------------------------------------------------------------------------


def test_memory_when_hidden_is_not_readable_by_others_of_the_same_user(tmp_path: Path) -> None:
    """A process of ours starts a pool; another one, uncaged but of the same user, tries to read it."""
    program = (
        "import asyncio\n"
        "from safelight.cpu import CpuPool\n"
        "from tests.integration.test_cage import read_passwords\n"
        "async def main():\n"
        "    pool = CpuPool(1)\n"
        "    await pool.run(read_passwords, None)\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        user=user,
        cwd=ROOT,
        env={"SAFELIGHT_OPENAI_API_KEY": "sk-secret", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as parent:
        try:
            assert parent.stdout
            assert parent.stdout.readline() == b"ready\n"
            look = subprocess.run(
                ["/bin/cat", f"/proc/{parent.pid}/environ"],
                user=user,
                capture_output=True,
                check=False,
                timeout=10,
            )
        finally:
            parent.kill()
    assert b"sk-secret" not in look.stdout
    assert look.returncode != 0


# --- kernels that lack a part --------------------------------------------------------------------


def test_missing_when_the_kernel_lacks_parts_names_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    assert [part.split(":")[0] for part in cage.missing()] == ["no Landlock", "no seccomp"]
    monkeypatch.setattr(landlock, "abi", lambda: 2)
    assert cage.missing()[0].startswith("an old Landlock")
