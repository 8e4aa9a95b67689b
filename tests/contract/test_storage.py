"""What every storage plug must do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from safelight.errors import NotFound, StorageFailed, StorageFull
from safelight.storage.storage import ObstoreStorage, Storage, open_disk, typed_errors

KEY = "images/job_1/abc.png"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture(params=["disk", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "disk":
        yield open_disk(tmp_path / "objects")
    else:
        yield ObstoreStorage(MemoryStore())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


async def _read(storage: Storage, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in storage.read(KEY, start=start, end=end)])


async def test_put_when_done_can_be_read_in_whole_and_in_parts(
    storage: Storage, source: Path, tmp_path: Path
) -> None:
    await storage.put(KEY, source)
    assert (await storage.head(KEY)).bytes == len(CONTENT)
    assert await _read(storage, 0, len(CONTENT)) == CONTENT
    assert await _read(storage, 10, 20) == CONTENT[10:20]
    assert await _read(storage, len(CONTENT) - 1, len(CONTENT)) == CONTENT[-1:]
    assert await _read(storage, 5, 5) == b""
    await storage.copy_to(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


async def test_head_when_content_differs_gives_another_etag(
    storage: Storage, source: Path, tmp_path: Path
) -> None:
    await storage.put(KEY, source)
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    await storage.put("images/job_1/def.png", other)
    first, second = await storage.head(KEY), await storage.head("images/job_1/def.png")
    assert first.etag
    assert first.etag != second.etag


async def test_head_and_read_when_nothing_is_there_raise_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await storage.head(KEY)
    with pytest.raises(NotFound):
        await _read(storage, 0, 1)


async def test_delete_when_called_twice_is_no_error(storage: Storage, source: Path) -> None:
    await storage.put(KEY, source)
    await storage.delete([KEY, "images/never/there.png"])
    await storage.delete([KEY])
    with pytest.raises(NotFound):
        await storage.head(KEY)


async def test_check_when_all_is_well_passes(storage: Storage) -> None:
    await storage.check()


async def test_put_when_the_source_is_missing_fails_and_leaves_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises((NotFound, StorageFailed)):
        await storage.put(KEY, tmp_path / "nowhere")
    with pytest.raises(NotFound):
        await storage.head(KEY)


def test_errors_when_the_disk_is_full_say_so() -> None:
    with pytest.raises(StorageFull), typed_errors(KEY):
        raise OSError(28, "No space left on device")
    with pytest.raises(StorageFailed), typed_errors(KEY):
        raise OSError(5, "Input/output error")
