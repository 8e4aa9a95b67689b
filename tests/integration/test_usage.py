"""How much is kept of each kind is what lies in storage."""

from pathlib import Path

import sqlalchemy as sa

from safelight.assets.intake import Intake, Origin
from safelight.assets.service import Assets
from safelight.assets.usage import used
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.storage.disk import DiskStorage
from tests import factories
from tests.pictures import picture


async def test_used_when_an_account_keeps_pictures_is_what_lies_there(
    database: Database,
    intake: Intake,
    assets: Assets,
    storage: DiskStorage,
    account: str,
    tmp_path: Path,
) -> None:
    photo, small = tmp_path / "photo.jpg", tmp_path / "small.png"
    photo.write_bytes(picture("jpeg", 1100, 800))
    small.write_bytes(picture("png", 40, 30))
    other = await factories.new_account(database)
    for owner in (account, account, other):
        row = await intake.keep_picture(photo, Origin(owner), sanitize=True)
        kept = await assets.add(row)
    for sanitize in (False, True):  # it is its own rendition, and then both are one object
        row = await intake.keep_picture(small, Origin(account), sanitize=sanitize)
        await assets.add(row)
    facts = await intake.inspect(small, account)
    private = await intake.keep_private(small, facts, "input.png", account)
    await assets.add(private)
    variant = {"asset_id": kept.id, "spec": "w=10", "key": "renditions/x", "media_type": "x"}
    sizes = {"width": 1, "height": 1, "bytes": 77}
    await database.write(
        lambda tx: tx.execute(
            sa.insert(tables.variants).values(created_at=now(), **variant, **sizes)
        )
    )

    found = await database.read(used)
    root = tmp_path / "objects"
    lying = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert sum(each.bytes for each in found) == lying + 77
    mine = {each.what: each.count for each in found if each.account_id == account}
    assert mine == {"image": 5, "original": 2, "rendition": 5}
    theirs = {each.what: each.count for each in found if each.account_id == other}
    assert theirs == {"image": 1, "original": 1, "rendition": 2, "variant": 1}
    assert await database.read(lambda tx: used(tx, other)) == [
        each for each in found if each.account_id == other
    ]

    trash = factories.trash(database, assets, storage, tmp_path)
    await trash.put(other, kept.id, actor="key_1")
    rest = {each.what: each.count for each in await database.read(lambda tx: used(tx, other))}
    assert rest == {"deleted": 1, "original": 1}


async def test_used_when_nothing_is_kept_is_nothing(database: Database, account: str) -> None:
    assert await database.read(lambda tx: used(tx, account)) == []
