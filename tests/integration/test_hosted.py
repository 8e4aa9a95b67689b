"""A hosted process: what it changes of Python while it runs, and whose key it keeps."""

import gc
from pathlib import Path

from safelight.accounts.scopes import OWNER_SCOPES
from safelight.cli.hosting.host import hosted, local_owner
from safelight.settings import Settings


async def test_process_when_hosted_keeps_what_is_loaded_from_the_garbage_collector(
    tmp_path: Path,
) -> None:
    usual = gc.get_threshold()
    async with hosted(Settings(data_dir=tmp_path, min_free_bytes=0), None):
        assert gc.get_freeze_count() > 100_000
        assert gc.get_threshold() > usual
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, usual)


async def test_start_when_the_account_of_the_local_key_is_suspended_keeps_the_key_and_says_so(
    tmp_path: Path,
) -> None:
    notes: list[str] = []
    async with hosted(Settings(data_dir=tmp_path, min_free_bytes=0), None) as whole:
        access = whole.services.access
        first = await local_owner(whole, notes.append)
        by = await access.authenticator.authenticate(first.key)
        other = await access.lifecycle.open("other", max_in_flight=None, by=by)
        issued = await access.keys.create(other.account.id, "operator", scopes=OWNER_SCOPES)
        by = await access.authenticator.authenticate(issued.secret)
        await access.lifecycle.suspend(first.account_id, "unpaid", by=by)
        again = await local_owner(whole, notes.append)
        assert again.key == first.key
        assert again.account_id == other.account.id, "who can run the installation"
        assert [note.rpartition(": ")[2] for note in notes] == ["unpaid"]
        await access.lifecycle.delete(first.account_id, by=by)
        replaced = await local_owner(whole, notes.append)
        caller = await access.authenticator.authenticate(replaced.key)
        assert caller.account_id == other.account.id
