"""A hosted process: what it changes of Python while it runs."""

import gc
from pathlib import Path

from safelight.cli.hosting.host import hosted
from safelight.settings import Settings


async def test_process_when_hosted_keeps_what_is_loaded_from_the_garbage_collector(
    tmp_path: Path,
) -> None:
    usual = gc.get_threshold()
    async with hosted(Settings(data_dir=tmp_path, min_free_bytes=0), None):
        assert gc.get_freeze_count() > 100_000
        assert gc.get_threshold() > usual
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, usual)
