"""Storage and rows are compared; what is left over goes, and what is lost is made anew."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
import trimesh

from safelight.assets.asset import Asset
from safelight.assets.derived import variant_store
from safelight.assets.derived.variant_store import Variant
from safelight.assets.intake import Intake, Origin
from safelight.assets.object_ledger import Note, note_all
from safelight.assets.repair import Repairer
from safelight.assets.service import Assets
from safelight.cpu import CpuPool
from safelight.db.engine import Database
from safelight.fsck import Remedy, examine, mend
from safelight.media.pictures.inspect import InspectRules
from safelight.providers.provider import MediaFile
from safelight.storage.disk import DiskStorage
from tests.pictures import picture

TWO_HOURS = 7200


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("jpeg", 1000, 700))
    return path


@pytest.fixture
def remaking(storage: DiskStorage, pool: CpuPool, tmp_path: Path) -> Repairer:
    return Repairer(storage, pool, InspectRules(max_pixels=10**6), scratch=tmp_path)


class Check:
    """Compares, and mends where asked to."""

    def __init__(
        self,
        database: Database,
        storage: DiskStorage,
        assets: Assets,
        remaking: Repairer,
        home: Path,
    ) -> None:
        self.database = database
        self.storage = storage
        self.assets = assets
        self.remaking = remaking
        self.home = home
        self.root = home / "objects"

    async def look(self, *, deep: bool = False) -> dict[str, str]:
        """Return what is amiss: roles by key."""
        async with examine(self.database, self.storage, self.home, deep=deep) as report:
            return {each.key: each.role or "orphan" async for each in report.findings}

    async def young(self) -> int:
        """Return the count of files too young to judge."""
        async with examine(self.database, self.storage, self.home) as report:
            return report.young

    async def mend(self, *, deep: bool = False) -> Counter[Remedy]:
        async with examine(self.database, self.storage, self.home, deep=deep) as report:
            done = mend(report.findings, self.database, self.assets, self.remaking)
            return Counter([remedy async for _, remedy in done])

    def lose(self, *keys: str | None) -> dict[str, bytes]:
        """Remove objects as a disk might, and return what they were."""
        lost = {key: (self.root / key).read_bytes() for key in keys if key}
        for key in lost:
            (self.root / key).unlink()
        return lost

    def leave(self, key: str, age_s: float) -> Path:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left over")
        then = time.time() - age_s
        os.utime(path, (then, then))
        return path


@pytest.fixture
def check(
    database: Database, storage: DiskStorage, assets: Assets, remaking: Repairer, tmp_path: Path
) -> Check:
    return Check(database, storage, assets, remaking, tmp_path)


async def keep(intake: Intake, assets: Assets, account: str, path: Path, *, own: bool) -> Asset:
    """Keep a picture with an original apart, or one of our `own` that is shown as it is."""
    return await assets.add(await intake.keep_picture(path, Origin(account), sanitize=not own))


async def test_check_when_all_is_well_finds_nothing(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    await keep(intake, assets, account, photo, own=False)
    await keep(intake, assets, account, photo, own=True)
    assert await check.look() == {}
    assert await check.mend() == Counter()


async def test_check_when_objects_are_left_over_finds_old_ones_and_removes_them(
    check: Check, intake: Intake, account: str, photo: Path
) -> None:
    old = check.leave("images/job_1/old.png", TWO_HOURS)
    new = check.leave("images/job_1/new.png", 60)
    await intake.keep_picture(photo, Origin(account), sanitize=True)  # whose row is yet to come
    assert await check.look() == {"images/job_1/old.png": "orphan"}
    assert await check.young() == 1  # the picture's are noted
    assert await check.mend() == Counter({Remedy.REMOVED: 1})
    assert (old.exists(), new.exists()) == (False, True)


async def test_check_when_a_copy_and_its_pictures_are_lost_makes_them_of_the_original(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    lost = check.lose(*asset.shown_keys)
    assert Counter((await check.look()).values()) == {"copy": 1, "rendition": 2}
    assert await check.mend() == Counter({Remedy.MADE_ANEW: 3})
    assert {key: (check.root / key).read_bytes() for key in lost} == lost
    assert await check.look() == {}


async def test_check_when_the_original_is_lost_says_so_and_leaves_the_row(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    check.lose(asset.original_key)
    for _ in range(2):
        assert await check.mend() == Counter({Remedy.NONE: 1})
    assert await assets.get(account, asset.id) == asset


async def test_check_when_what_is_shown_is_all_there_was_says_so(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=True)
    check.lose(*asset.shown_keys)
    assert await check.mend() == Counter({Remedy.NONE: 3})


async def test_check_when_the_drawings_of_a_model_are_lost_draws_it_again(
    check: Check, intake: Intake, assets: Assets, account: str, tmp_path: Path
) -> None:
    path = tmp_path / "box.glb"
    trimesh.creation.box().export(path)
    media = MediaFile(path, "model/gltf-binary", name="box.glb")
    asset = await assets.add(await intake.keep_media(media, Origin(account), 0))
    pictures = [each["key"] for each in asset.renditions.values()]
    assert len(pictures) == 3
    check.lose(*pictures)
    assert await check.mend() == Counter({Remedy.MADE_ANEW: 3})
    assert await check.look() == {}


async def test_check_when_something_made_on_the_fly_is_lost_forgets_it(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    variant = Variant(asset.id, "w=9", f"renditions/{asset.id}/x.jpg", "image/jpeg", 9, 9, 1)
    note = Note("ast_note", account, [variant.key])
    await check.database.write(lambda tx: note_all(tx, [note]))
    source = asset.key or ""
    await check.database.write(
        lambda tx: variant_store.keep(tx, variant, note.asset_id, source=source)
    )
    assert await check.look() == {variant.key: "variant"}
    assert await check.mend() == Counter({Remedy.FORGOTTEN: 1})
    assert await check.look() == {}


async def test_check_when_bytes_have_changed_finds_them_only_if_deep_and_makes_them_anew(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    for key in asset.shown_keys:
        path = check.root / key
        bad = bytearray(path.read_bytes())
        bad[len(bad) // 2] ^= 1
        path.write_bytes(bad)
    assert await check.look() == {}
    assert Counter((await check.look(deep=True)).values()) == {"copy": 1, "rendition": 2}
    assert await check.mend(deep=True) == Counter({Remedy.MADE_ANEW: 3})
    assert await check.look(deep=True) == {}


async def test_check_when_the_original_has_changed_makes_nothing_of_it(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    check.lose(*asset.shown_keys)
    original = check.root / asset.original_key
    original.write_bytes(picture("jpeg", 700, 1000))
    assert await check.mend() == Counter({Remedy.NONE: 3})
    assert await check.mend(deep=True) == Counter({Remedy.NONE: 4})
    assert set(await check.look()) == set(asset.shown_keys)


async def test_check_when_something_made_on_the_fly_has_changed_removes_it(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    asset = await keep(intake, assets, account, photo, own=False)
    key = f"renditions/{asset.id}/x.jpg"
    note = Note("ast_note", account, [key])
    await check.database.write(lambda tx: note_all(tx, [note]))
    path = check.leave(key, 1)
    variant = Variant(asset.id, "w=9", key, "image/jpeg", 9, 9, 9, "0" * 64)
    source = asset.key or ""
    await check.database.write(
        lambda tx: variant_store.keep(tx, variant, note.asset_id, source=source)
    )
    assert await check.mend(deep=True) == Counter({Remedy.FORGOTTEN: 1})
    await assets.sweep()
    assert not path.exists()
    assert await check.look(deep=True) == {}


async def test_check_when_there_is_much_goes_page_by_page(
    check: Check, intake: Intake, assets: Assets, account: str, photo: Path
) -> None:
    kept = await keep(intake, assets, account, photo, own=False)
    for number in range(2500):
        check.leave(f"images/job_{number}/x.png", TWO_HOURS)
    async with examine(check.database, check.storage, check.home) as report:
        assert report.objects == 2500 + len(kept.shown_keys) + 1
        done = mend(report.findings, check.database, assets, check.remaking)
        assert Counter([remedy async for _, remedy in done]) == {Remedy.REMOVED: 2500}
    await assets.sweep()
    assert await check.look() == {}
