"""The decoders' cage: a hostile function in a child is refused whatever it tries; see ADR 0021.

As root, all is tried as an ordinary user too.
"""

import ctypes
import errno
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from safelight.cpu import CpuPool, Limits, call, results, visits
from safelight.cpu.cage import cage, kernel, landlock, seccomp
from safelight.cpu.frames import Kind, packed, receive_request
from tests.syntax import ROOT

_NOBODY = 65_534
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
    assert (folder.parent / "input").read_text() == "input"


def read_input(folder: Path) -> int:
    return _error((folder.parent / "input").read_text)


def write_folder(folder: Path) -> int:
    return _error(lambda: (folder / "made").write_text("x"))


STAYING = (*HOSTILE, read_input, write_folder)  # a child that stays is given no file at all


def whoami(_: Path) -> int:
    return os.getpid()


@pytest.mark.parametrize("attempt", STAYING, ids=lambda attempt: attempt.__name__)
async def test_cage_when_a_child_has_served_before_refuses(
    attempt: Callable[[Path], int],
    pool: CpuPool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visits, "MOST_S", 60)  # this machine may be busy
    first = await pool.run(whoami, folder, tenant=attempt.__name__)
    found = await pool.run(attempt, folder, tenant=attempt.__name__)
    assert found in _REFUSED, f"{errno.errorcode.get(found, 'no error')}"
    assert await pool.run(whoami, folder, tenant=attempt.__name__) == first, (
        "it was not the used child"
    )


async def test_cage_when_a_function_is_honest_lets_it_work(pool: CpuPool, folder: Path) -> None:
    found = await pool.run(
        use_what_is_allowed, folder, reads=[folder.parent / "input"], writes=[folder]
    )
    assert sorted(found) == ["named", "sub"]


async def test_cage_when_a_call_names_no_folder_writes_nowhere(pool: CpuPool, folder: Path) -> None:
    assert await pool.run(write_beside, folder) in _REFUSED


USERS = sorted({os.geteuid(), _NOBODY if os.geteuid() == 0 else os.geteuid()})


def _as(user: int, call: str) -> str:
    """Return the output of a call of this module, made in a new process as that user."""
    program = f"from tests.integration import test_cage; test_cage.become({user}); {call}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def become(user: int) -> None:
    """Give up being root; the interpreter may be root's own, so nothing is executed after that."""
    if user != os.geteuid():
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _forked(work: Callable[[], int]) -> int:
    """Return the exit status, 0 to 255, of a fork that runs `work`."""
    child = os.fork()
    if child == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tell_what_is_let_through(place: Path) -> None:
    """Try everything hostile in a cage, each in a process of its own, and print what works."""
    folder = place / "work"
    folder.mkdir()
    (place / "secret").write_text("sk-secret")
    (place / "input").write_text("input")

    def caged(attempt: Callable[[Path], int]) -> int:
        cage.close([place / "input"], [folder])
        return attempt(folder)

    for attempt in HOSTILE:
        found = _forked(lambda attempt=attempt: caged(attempt))
        if found not in _REFUSED:
            sys.stdout.write(f"{attempt.__name__}: {errno.errorcode.get(found, found)}\n")
    _forked(
        lambda: caged(lambda folder: (folder / "made").write_text((place / "input").read_text()))
    )
    sys.stdout.write((folder / "made").read_text())


@pytest.mark.parametrize("user", USERS)
def test_cage_when_the_user_is_another_refuses_too(user: int) -> None:
    with TemporaryDirectory() as place:  # one of pytest's is open to its own user alone
        Path(place).chmod(0o777)
        call = f"test_cage.tell_what_is_let_through(test_cage.Path({place!r}))"
        assert _as(user, call) == "input"


def tell_what_a_used_child_lets_through(place: Path) -> None:
    """Try everything hostile in children that have done a call before, and print what works."""
    folder = place / "work"
    folder.mkdir()
    (place / "secret").write_text("sk-secret")
    (place / "input").write_text("input")
    for attempt in STAYING:
        found = _second(attempt, folder)
        if found not in _REFUSED:
            sys.stdout.write(f"{attempt.__name__}: {errno.errorcode.get(found, found)}\n")
    sys.stdout.write("done")


def _second(attempt: Callable[[Path], int], folder: Path) -> int:
    """Return the result of the second call of a child, which is forked here."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        call.serve(theirs)
        os._exit(0)
    theirs.close()
    found = 0
    with ours, ours.makefile("rb") as answers:
        for function in (whoami, attempt):
            request = call.Request(function, (folder,), Limits(), stays=True)
            ours.sendall(packed(Kind.REQUEST, pickle.dumps(request)))
            found = results.decode(function, receive_request(answers), ())
    os.waitpid(child, 0)
    return found


@pytest.mark.parametrize("user", USERS)
def test_cage_when_the_user_is_another_refuses_in_a_used_child_too(user: int) -> None:
    with TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        call = f"test_cage.tell_what_a_used_child_lets_through(test_cage.Path({place!r}))"
        assert _as(user, call) == "done"


# --- the parent ----------------------------------------------------------------------------------


def tell_whether_memory_is_readable() -> None:
    """Print whether a process of the same user may read this one, before and after it hides."""

    def look() -> int:
        return _error(Path(f"/proc/{os.getppid()}/environ").read_bytes)

    kernel.show_memory()  # a change of the user has hidden it
    before = _forked(look)
    kernel.hide_memory()
    sys.stdout.write(f"{before} {_forked(look)}")


@pytest.mark.parametrize("user", [user for user in USERS if user != 0])
def test_memory_when_hidden_is_not_readable_by_the_same_user(user: int) -> None:
    found = _as(user, "test_cage.tell_whether_memory_is_readable()")
    assert found == f"0 {errno.EACCES}"


async def test_pool_when_it_has_run_has_hidden_the_memory_of_its_process(pool: CpuPool) -> None:
    await pool.run(read_passwords, Path())
    assert not kernel.is_memory_shown()


# --- kernels that lack a part --------------------------------------------------------------------


def test_missing_when_the_kernel_lacks_parts_names_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    assert [part.split(":")[0] for part in cage.missing()] == ["no Landlock", "no seccomp"]
    monkeypatch.setattr(landlock, "abi", lambda: 2)
    assert cage.missing()[0].startswith("an old Landlock")
