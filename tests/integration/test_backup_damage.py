"""A backup with any byte changed is refused; what storage lost or damaged is named."""

import io
import tarfile
from pathlib import Path

import pytest

from safelight.assets.asset import Asset
from safelight.assets.intake import Intake, Origin
from safelight.assets.service import Assets
from safelight.backup import Summary, back_up, verify
from safelight.backup.errors import BackupUnfit
from safelight.db.engine import Database
from safelight.storage.disk import DiskStorage
from tests.pictures import picture

ODD_STEP = 61  # coprime with the block size, so that each place of a block is tried


@pytest.fixture
async def asset(intake: Intake, assets: Assets, account: str, tmp_path: Path) -> Asset:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 90, 70))
    return await assets.add(await intake.keep_picture(path, Origin(account), sanitize=True))


async def back_up_to(path: Path, database: Database, storage: DiskStorage) -> Summary:
    with path.open("wb") as out:
        return await back_up(database, storage, out, path.parent)


def entries(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {each.name: tar.extractfile(each) for each in tar}
        return {name: file.read() for name, file in found.items() if file}


async def is_good(path: Path) -> bool:
    try:
        await verify(path)
    except BackupUnfit:
        return False
    return True


async def test_verify_when_any_byte_is_changed_refuses_what_reads_differently(
    database: Database, storage: DiskStorage, asset: Asset, tmp_path: Path
) -> None:
    whole = tmp_path / "all.tar"
    done = await back_up_to(whole, database, storage)
    assert (done.objects, done.lost, done.damaged) == (len(asset.shown_keys) + 1, (), ())
    assert await is_good(whole)
    content = whole.read_bytes()
    before = entries(content)
    changed = tmp_path / "changed.tar"
    refused = 0
    for place in range(0, len(content), ODD_STEP):
        bad = bytearray(content)
        bad[place] ^= 1 << place % 8
        changed.write_bytes(bad)
        if await is_good(changed):
            assert entries(bytes(bad)) == before, place  # padding between the entries
        else:
            refused += 1
    assert refused > 100


async def test_verify_when_an_entry_is_changed_or_gone_names_it(
    database: Database, storage: DiskStorage, asset: Asset, tmp_path: Path
) -> None:
    whole = tmp_path / "all.tar"
    await back_up_to(whole, database, storage)
    before = entries(whole.read_bytes())
    assert list(before)[-1] == "SHA256SUMS"
    name = f"objects/{asset.key}"
    for kept in (
        {**before, name: before[name][:-1] + b"?"},
        {**before, "rows/assets.jsonl": before["rows/assets.jsonl"].replace(b"image", b"model")},
        {each: content for each, content in before.items() if each != name},
        {each: content for each, content in before.items() if each != "SHA256SUMS"},
        {"more": b"", **before},
        {**before, "SHA256SUMS": before["SHA256SUMS"].rpartition(b"# whole")[0]},
        {**before, "SHA256SUMS": b""},
    ):
        path = tmp_path / "other.tar"
        with tarfile.open(path, "w") as tar:
            for each, content in kept.items():
                entry = tarfile.TarInfo(each)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        with pytest.raises(BackupUnfit, match=r"damaged|complete backup"):
            await verify(path)


async def test_back_up_when_storage_lost_a_file_or_has_another_names_it(
    database: Database, storage: DiskStorage, asset: Asset, tmp_path: Path
) -> None:
    objects = tmp_path / "objects"
    assert asset.key
    (objects / asset.original_key).unlink()
    (objects / asset.key).write_bytes(b"other bytes")
    done = await back_up_to(tmp_path / "all.tar", database, storage)
    assert done.lost == (asset.original_key,)
    assert asset.key in done.damaged
    assert done.gone == 0
    found = await verify(tmp_path / "all.tar")  # the backup itself is as it was written
    assert found["lost"] == [asset.original_key]
