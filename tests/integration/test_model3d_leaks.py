"""Two hundred models, one after the other, leave nothing behind: no memory, handle or file."""

import os
from pathlib import Path

import psutil
import pytest

from safelight.cpu import CpuPool
from safelight.media.models.arrival import receive
from safelight.media.models.convert import ModelFormat, convert
from safelight.media.models.take_in import ModelRules
from safelight.providers.local.inflate.make import make_model
from safelight.providers.local.inflate.order import Order, Params
from tests import pictures

MODELS = 200
WARM = 50  # until caches are full and the heap has its shape
GROWTH = 40 * 2**20
DRAWN_EVERY = 10


def held(child: psutil.Process) -> tuple[int, int]:
    """Return the memory of a child that is its own, in bytes, and its open files."""
    return child.memory_full_info().uss, child.num_fds()


@pytest.mark.slow
@pytest.mark.timeout(300)  # it makes 200 models
async def test_models_when_200_are_made_drawn_and_converted_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(pictures.picture("png", 96, 96))
    pool = CpuPool(1)
    forms = [*ModelFormat]
    warm = after = (0, 0)
    for number in range(MODELS):
        folder = tmp_path / "scratch"
        folder.mkdir()
        model = folder / "model.glb"
        params = Params(face_limit=500, texture_size=256)
        await pool.run(make_model, Order(picture, params, model))
        if number % DRAWN_EVERY == 0:
            drawn = await receive(pool, model, folder, ModelRules(), still=True)
            assert set(drawn.pictures) == {"preview", "thumb", "turntable"}
        await pool.run(convert, model, forms[number % len(forms)], folder, "model")
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        after = held(psutil.Process(await pool.run(os.getpid)))
        if number == WARM:
            warm = after
    pool.close()
    assert after[0] < warm[0] + GROWTH, f"{warm} grew to {after}"
    assert after[1] == warm[1]
