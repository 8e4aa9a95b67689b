"""Pictures on the fly against both databases: made once, kept once, gone with their asset."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
import pytest
import pyvips
import sqlalchemy as sa

from safelight import ids
from safelight.accounts import signing
from safelight.accounts.closed import ClosedAccounts
from safelight.accounts.signatures import Signatures
from safelight.assets import object_ledger, store
from safelight.assets.asset import Asset, AssetKind, NewAsset
from safelight.assets.derived.variant_store import Variant
from safelight.assets.derived.variants import MakingRules, Variants
from safelight.assets.errors import NoPublicPicture, SignatureInvalid
from safelight.assets.keys import Visibility, shown_key
from safelight.assets.object_ledger import Note
from safelight.assets.service import Assets
from safelight.cpu import CpuPool, Limits, Report
from safelight.db.engine import Database
from safelight.db.tables import loose_objects, variants
from safelight.errors import NotFound, StorageFull
from safelight.media.errors import MediaTruncated
from safelight.media.pictures.spec import Fit, Format, Spec
from safelight.single_flight import Busy
from safelight.storage.disk import DiskStorage
from tests import factories, pictures

T = TypeVar("T")
SMALL = Spec(w=30, format=Format.WEBP)


class CountingPool(CpuPool):
    """Runs everything at once in this process, when its gate is open, and counts."""

    def __init__(self) -> None:
        super().__init__(2)
        self.runs = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._changed = asyncio.Condition()

    async def began(self, runs: int) -> None:
        """Wait until so many runs have begun."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.runs >= runs)

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        limits: Limits | None = None,
        report: Report | None = None,
        tenant: str = "",
    ) -> T:
        async with self._changed:
            self.runs += 1
            self._changed.notify_all()
        await self.gate.wait()
        return await anyio.to_thread.run_sync(function, *args)


@dataclass
class Studio:
    """One process's variants, and what stands around them."""

    database: Database
    storage: DiskStorage
    pool: CountingPool
    scratch: Path
    account: str

    def variants(
        self,
        pool: CpuPool | None = None,
        rules: MakingRules | None = None,
        *,
        is_full: bool = False,
    ) -> Variants:
        async def check_space() -> None:
            if is_full:
                raise StorageFull

        return Variants(
            self.database,
            self.storage,
            pool or self.pool,
            Signatures(self.database),
            self.scratch,
            check_space=check_space,
            check_open=ClosedAccounts(self.database).check_open,
            rules=rules,
        )

    async def publish(
        self,
        data: bytes = b"",
        *,
        kind: AssetKind = AssetKind.IMAGE,
        media_type: str = "image/png",
        has_alpha: bool = False,
    ) -> Asset:
        """Keep a public picture of 60 x 40."""
        asset_id = ids.new("asset")
        key = shown_key(kind.folder, asset_id, media_type, Visibility.PUBLIC)
        source = self.scratch / asset_id
        source.write_bytes(data or pictures.picture("png", 60, 40))
        note = Note(asset_id, self.account, [key])
        await self.database.write(lambda tx: object_ledger.note_all(tx, [note]))
        await self.storage.put(key, source)
        source.unlink()
        row: NewAsset = {
            "name": "",
            "position": 0,
            "id": asset_id,
            "account_id": self.account,
            "kind": kind,
            "key": key,
            "original_key": key,
            "media_type": media_type,
            "bytes": 1,
            "width": 60,
            "height": 40,
            "sha256": "",
            "facts": {"has_alpha": has_alpha},
            "renditions": {},
        }
        return (await self.database.write(lambda tx: store.insert(tx, [row])))[0]

    async def signature(self, asset: Asset, spec: Spec) -> str:
        key = await Signatures(self.database).key_of(asset.account_id)
        return signing.sign(key, f"{asset.key}?{spec.canonical}")

    async def open(
        self, service: Variants, asset: Asset, spec: Spec = SMALL, accept: str = ""
    ) -> Variant:
        """Ask as a client with the right signature does."""
        assert asset.key
        return await service.open(asset.key, spec, await self.signature(asset, spec), accept)

    async def rows(self) -> list[str]:
        """The keys in `variants`."""
        return await self.database.read(lambda tx: list(tx.scalars(sa.select(variants.c.key))))

    async def loose(self) -> list[str]:
        """The keys of objects that no row names."""
        query = sa.select(loose_objects.c.object_keys)
        found = await self.database.read(lambda tx: list(tx.scalars(query)))
        return [key for keys in found for key in keys]

    def stored(self) -> list[str]:
        """The keys of variants in storage."""
        root = self.scratch.parent / "objects"
        return [
            str(path.relative_to(root)) for path in root.glob("renditions/**/*") if path.is_file()
        ]


@pytest.fixture
async def studio(database: Database, storage: DiskStorage, account: str, tmp_path: Path) -> Studio:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Studio(database, storage, CountingPool(), scratch, account)


async def test_open_when_asked_by_many_at_once_then_makes_it_once(studio: Studio) -> None:
    asset = await studio.publish()
    service = studio.variants()
    found = await asyncio.gather(*(studio.open(service, asset) for _ in range(20)))
    assert studio.pool.runs == 1
    assert len(set(found)) == 1
    assert (found[0].width, found[0].height, found[0].media_type) == (30, 20, "image/webp")
    assert await studio.rows() == studio.stored() == [found[0].key]
    assert await studio.loose() == []
    assert list(studio.scratch.iterdir()) == []
    assert await studio.open(service, asset) == found[0]
    assert studio.pool.runs == 1


async def test_open_when_run_in_a_child_then_gives_the_picture(
    studio: Studio, pool: CpuPool
) -> None:
    asset = await studio.publish(pictures.picture("jpeg", 60, 40), media_type="image/jpeg")
    spec = Spec(w=20, h=20, fit=Fit.COVER, format=Format.PNG)
    made = await studio.open(studio.variants(pool), asset, spec)
    image = pyvips.Image.new_from_file(str(studio.scratch.parent / "objects" / made.key))
    assert (image.width, image.height) == (made.width, made.height) == (20, 20)


async def test_open_when_the_first_who_asked_leaves_then_the_others_get_it(
    studio: Studio,
) -> None:
    asset = await studio.publish()
    service = studio.variants()
    studio.pool.gate.clear()
    first = asyncio.ensure_future(studio.open(service, asset))
    await studio.pool.began(1)
    second = asyncio.ensure_future(studio.open(service, asset))
    first.cancel()
    await asyncio.wait([first])
    studio.pool.gate.set()
    assert (await second).spec == "format=webp&w=30"
    assert first.cancelled()
    assert studio.pool.runs == 1


async def test_open_when_two_processes_make_it_at_once_then_one_row_stands(
    studio: Studio, assets: Assets
) -> None:
    asset = await studio.publish()
    studio.pool.gate.clear()
    both = [asyncio.ensure_future(studio.open(studio.variants(), asset)) for _ in range(2)]
    await studio.pool.began(2)
    studio.pool.gate.set()
    one, other = await asyncio.gather(*both)
    assert one == other
    assert await studio.rows() == [one.key]
    assert len(studio.stored()) == 2
    await assets.sweep()
    assert studio.stored() == [one.key]


async def test_open_when_the_asset_is_deleted_meanwhile_then_nothing_is_left(
    studio: Studio, assets: Assets
) -> None:
    asset = await studio.publish()
    studio.pool.gate.clear()
    asking = asyncio.ensure_future(studio.open(studio.variants(), asset))
    await studio.pool.began(1)
    await assets.delete(asset.account_id, asset.id, actor="key_1")
    studio.pool.gate.set()
    with pytest.raises(NotFound):
        await asking
    await assets.sweep()
    assert studio.stored() == await studio.rows() == await studio.loose() == []


async def test_delete_when_there_are_variants_then_takes_them_along(
    studio: Studio, assets: Assets
) -> None:
    asset = await studio.publish()
    service = studio.variants()
    for width in (10, 20):
        await studio.open(service, asset, Spec(w=width))
    await assets.delete(asset.account_id, asset.id, actor="key_1")
    await assets.sweep()
    assert studio.stored() == await studio.rows() == []
    with pytest.raises(NotFound):
        await studio.open(service, asset, Spec(w=10))


async def test_delete_when_variants_are_being_made_then_leaves_none(
    studio: Studio, assets: Assets
) -> None:
    service = studio.variants()
    for begun in range(1, 13, 2):  # at different moments of the others
        studio.pool.runs = 0
        asset = await studio.publish()
        asked = [studio.open(service, asset, Spec(w=1 + width)) for width in range(12)]
        asking = asyncio.gather(*asked, return_exceptions=True)
        await studio.pool.began(begun)
        await assets.delete(asset.account_id, asset.id, actor="key_1")
        for answer in await asking:
            assert isinstance(answer, Variant | NotFound)
    await assets.sweep()
    assert studio.stored() == await studio.rows() == await studio.loose() == []


async def test_open_when_too_many_wait_then_says_when_to_come_again(studio: Studio) -> None:
    asset = await studio.publish()
    service = studio.variants(rules=MakingRules(max_waiting=3))
    studio.pool.gate.clear()
    waiting = [
        asyncio.ensure_future(studio.open(service, asset, Spec(w=width))) for width in (1, 2, 3)
    ]
    await studio.pool.began(3)
    same = asyncio.ensure_future(studio.open(service, asset, Spec(w=3)))
    with pytest.raises(Busy) as caught:
        await studio.open(service, asset, Spec(w=4))
    assert caught.value.retry_after
    studio.pool.gate.set()
    assert len(await asyncio.gather(*waiting, same)) == 4
    assert (await studio.open(service, asset, Spec(w=4))).width == 4


async def test_open_when_it_takes_too_long_then_gives_up_and_can_be_asked_again(
    studio: Studio,
) -> None:
    asset = await studio.publish()
    service = studio.variants(rules=MakingRules(deadline=timedelta(milliseconds=50)))
    studio.pool.gate.clear()
    with pytest.raises(Busy):
        await studio.open(service, asset)
    assert list(studio.scratch.iterdir()) == []
    studio.pool.gate.set()
    assert (await studio.open(studio.variants(), asset)).width == 30


async def test_open_when_the_picture_cannot_be_read_then_says_so_to_all(studio: Studio) -> None:
    asset = await studio.publish(pictures.truncated(pictures.picture("png", 600, 400)))
    service = studio.variants()
    asked = [studio.open(service, asset) for _ in range(3)]
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, MediaTruncated)
    assert studio.pool.runs <= 3, "who comes after a failure tries again"
    assert await studio.rows() == studio.stored() == []


async def test_open_when_the_disk_is_full_then_serves_what_there_is(studio: Studio) -> None:
    asset = await studio.publish()
    made = await studio.open(studio.variants(), asset)
    full = studio.variants(is_full=True)
    assert await studio.open(full, asset) == made
    with pytest.raises(StorageFull):
        await studio.open(full, asset, Spec(w=31))


async def test_open_when_the_signature_is_wrong_then_touches_nothing(studio: Studio) -> None:
    asset = await studio.publish()
    assert asset.key
    service = studio.variants()
    stranger = await factories.new_account(studio.database, "stranger")
    theirs = await Signatures(studio.database).key_of(stranger)
    for signature in (
        "",
        "A" * 22,
        await studio.signature(asset, Spec(w=31, format=Format.WEBP)),
        signing.sign(theirs, f"{asset.key}?{SMALL.canonical}"),
    ):
        with pytest.raises(SignatureInvalid):
            await service.open(asset.key, SMALL, signature, "")
    assert studio.pool.runs == 0
    assert studio.stored() == []


async def test_open_when_the_key_is_no_public_picture_then_says_so(studio: Studio) -> None:
    service = studio.variants()
    model = await studio.publish(kind=AssetKind.MODEL_3D, media_type="model/gltf-binary")
    with pytest.raises(NoPublicPicture):
        await studio.open(service, model)
    with pytest.raises(NoPublicPicture):
        await service.promise(model, SMALL, until=0)
    for key in ("originals/acc_1/ab", "renditions/ast_1/ab.png", "images/x/y.jpg", "images/\0.jpg"):
        with pytest.raises(NotFound):
            await service.open(key, SMALL, "A" * 22, "")


@pytest.mark.parametrize(
    ("alpha", "accept", "media_type"),
    [
        (False, "*/*", "image/jpeg"),
        (True, "*/*", "image/png"),
        (True, "image/webp", "image/webp"),
        (False, "image/avif,image/webp", "image/avif"),
    ],
)
async def test_open_when_the_format_is_open_then_goes_by_accept_and_alpha(
    studio: Studio, alpha: bool, accept: str, media_type: str
) -> None:
    asset = await studio.publish(pictures.picture("png", 60, 40, alpha=alpha), has_alpha=alpha)
    service = studio.variants()
    made = await studio.open(service, asset, Spec(w=30), accept)
    assert made.media_type == media_type
    fixed = Spec(w=30, format=Format(media_type.removeprefix("image/")))
    assert await studio.open(service, asset, fixed) == made
    assert studio.pool.runs == 1


async def test_signing_key_when_made_by_two_at_once_is_one(database: Database) -> None:
    found = await asyncio.gather(*(Signatures(database).key_of("acc_1") for _ in range(8)))
    assert len(set(found)) == 1
    assert await Signatures(database).key_of("acc_1") == found[0]


async def test_open_when_the_store_hangs_then_gives_up_at_its_deadline_and_frees_its_turn(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = await studio.publish()
    service = studio.variants(rules=MakingRules(deadline=timedelta(milliseconds=50)))

    async def hang(key: str, target: Path) -> None:
        del key, target
        await asyncio.Event().wait()

    with monkeypatch.context() as hanging:
        hanging.setattr(studio.storage, "copy_to", hang)
        more = [Spec(w=width) for width in range(1, 21)]  # than take turns at once
        asked = [studio.open(service, asset, spec) for spec in more]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(answer, Busy)
            assert (answer.status, bool(answer.retry_after)) == (503, True)
    lasting = studio.variants()
    assert (await studio.open(lasting, asset, Spec(w=4))).width == 4
    assert list(studio.scratch.iterdir()) == []
