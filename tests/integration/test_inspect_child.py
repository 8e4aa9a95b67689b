"""Inspection in a child process: answers and errors cross over, a glutton ends only the child."""

from functools import partial
from pathlib import Path

import pytest
import pyvips

from safelight.cpu import CpuPool, Limits, OutOfResources
from safelight.media.errors import MediaTooManyPixels, MediaUnsupported
from safelight.media.pictures.glimpse import glimpse
from safelight.media.pictures.ingest import take_in
from safelight.media.pictures.inspect import InspectRules, inspect
from tests import pictures

RULES = InspectRules()


async def test_run_when_a_picture_is_inspected_in_a_child_then_all_crosses_over(
    tmp_path: Path,
) -> None:
    good, huge = tmp_path / "good", tmp_path / "huge"
    good.write_bytes(pictures.photo())
    huge.write_bytes(pictures.claiming("png", 60000, 60000))
    pool = CpuPool(1)
    try:
        facts = await pool.run(inspect, good, RULES, reads=[good])
        made = await pool.run(
            partial(take_in, serve=True), good, tmp_path, RULES, reads=[good], writes=[tmp_path]
        )
        with pytest.raises(MediaTooManyPixels) as caught:
            await pool.run(inspect, huge, RULES, reads=[huge])
    finally:
        pool.close()
    assert (facts.width, facts.height) == (48, 64)
    assert made.pictures.keys() == {"preview", "thumb"}
    assert "60000 x 60000" in caught.value.detail


async def test_run_when_a_picture_needs_too_much_memory_then_only_the_child_ends(
    tmp_path: Path,
) -> None:
    big, small = tmp_path / "big", tmp_path / "small"
    big.write_bytes(pictures.encode(pictures.scene(6000, 5000), "png", interlace=True))
    small.write_bytes(pictures.picture())
    pool = CpuPool(1)
    try:
        with pytest.raises(OutOfResources):
            await pool.run(
                partial(take_in, serve=True),
                big,
                tmp_path,
                RULES,
                reads=[big],
                writes=[tmp_path],
                limits=Limits(memory_bytes=2**27),
            )
        assert (await pool.run(inspect, small, RULES, reads=[small])).width == 64
    finally:
        pool.close()


async def test_glimpse_when_a_picture_is_all_noise_still_fits_into_an_event(
    pool: CpuPool, tmp_path: Path
) -> None:
    noisy, none = tmp_path / "noisy", tmp_path / "none"
    noise = pyvips.Image.gaussnoise(1500, 1500, sigma=80, mean=128).cast("uchar")
    noisy.write_bytes(noise.bandjoin([noise.rot90(), noise.rot180()]).pngsave_buffer())
    none.write_bytes(b"no picture")
    told = await pool.run(glimpse, noisy, RULES, reads=[noisy])
    assert told.startswith("data:image/webp;base64,")
    assert len(told) < 65_000
    with pytest.raises(MediaUnsupported):
        await pool.run(glimpse, none, RULES, reads=[none])
