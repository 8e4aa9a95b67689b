"""The processes behind the plug: what they keep, who gets which, and what becomes of them."""

# pyright: reportMissingImports=false
# Torch is in the extra `diffusers` only.

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from safelight.cpu import OutOfResources
from safelight.providers.errors import ProviderError, ProviderRejected
from safelight.providers.local.diffusers import DiffusersConfig, DiffusersProvider, LocalModel, Lora
from safelight.providers.local.diffusers.engine import is_out_of_memory
from tests.gpu.asking import Handle, bytes_of, made_by, request_of
from tests.gpu.conftest import Models

OpenPlug = Callable[..., DiffusersProvider]
LONG: dict[str, Any] = {"steps": 900, "n": 4}  # takes far longer than any test waits for


async def _drawing(plug: DiffusersProvider, folder: Path) -> asyncio.Task[object]:
    """Return a start that has come as far as its second step."""
    under_way = asyncio.Event()

    def watch(percent: float, _stage: str) -> None:
        if percent > 0:
            under_way.set()

    start = asyncio.ensure_future(plug.start(request_of(plug, folder, **LONG), Handle(watch)))
    # A start that ends before it draws has failed, and the test must not wait for it.
    start.add_done_callback(lambda _: under_way.set())
    await under_way.wait()
    assert not start.done(), start.exception()
    return start


async def test_cancel_when_drawing_leaves_the_process_warm_and_the_next_job_right(
    plug: DiffusersProvider, folder: Path
) -> None:
    before, pids = await bytes_of(plug, folder), plug.pids
    start = await _drawing(plug, folder)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    handle = Handle()
    await plug.start(request_of(plug, folder), handle)
    assert "loading the model" not in [stage for _, stage in handle.heard]
    assert await bytes_of(plug, folder) == before
    assert plug.pids == pids


async def test_cancel_when_the_process_does_not_answer_kills_it(
    open_plug: OpenPlug, folder: Path
) -> None:
    plug = open_plug(cancel_s=0.2)
    start = await _drawing(plug, folder)
    (pid,) = plug.pids
    assert pid
    os.kill(pid, signal.SIGSTOP)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not psutil.pid_exists(pid)
    assert await bytes_of(plug, folder)


async def test_kill_when_drawing_fails_that_job_in_passing_and_the_next_is_made(
    plug: DiffusersProvider, folder: Path
) -> None:
    before = await bytes_of(plug, folder)
    start = await _drawing(plug, folder)
    (pid,) = plug.pids
    assert pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProviderError, match="died") as caught:
        await start
    assert type(caught.value) is ProviderError
    assert await bytes_of(plug, folder) == before
    assert plug.pids != (pid,)


async def test_time_limit_when_passed_ends_the_process(
    open_plug: OpenPlug, models: Models, folder: Path
) -> None:
    hasty = replace(models.sd, timeout=timedelta(seconds=0.5))
    plug = open_plug(models=(hasty,))
    with pytest.raises(OutOfResources):
        await made_by(plug, request_of(plug, folder, **LONG))
    assert plug.pids == (None,)


async def test_memory_when_it_does_not_suffice_is_told_and_begun_anew(
    open_plug: OpenPlug, folder: Path
) -> None:
    plug = open_plug(memory_bytes=200 * 2**20)
    await bytes_of(plug, folder, "sdxl")
    before = await bytes_of(plug, folder)
    pids = plug.pids
    huge = request_of(plug, folder, size="1024x1024", steps=1)
    with pytest.raises(OutOfResources):  # another model was warm, which is gone now
        await made_by(plug, huge)
    with pytest.raises(ProviderRejected) as caught:
        await made_by(plug, huge)
    assert caught.value.extra["reason"] == "out_of_memory"
    assert await bytes_of(plug, folder) == before
    assert plug.pids != pids


def test_error_when_of_memory_is_known_as_such() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    wrapped = OSError("Unable to load weights.")
    wrapped.__context__ = RuntimeError("unable to mmap 99 bytes: Cannot allocate memory (12)")
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


@pytest.mark.parametrize("limits", [{"max_warm": 1}, {"max_warm_bytes": 1}])
async def test_models_when_too_many_are_warm_make_room_for_the_next(
    open_plug: OpenPlug, folder: Path, limits: dict[str, int]
) -> None:
    plug = open_plug(**limits)
    assert [await _loads(plug, folder, model) for model in ("sd", "sd", "sdxl", "sd")] == [
        True,
        False,
        True,
        True,
    ]


async def test_models_when_one_must_go_lose_the_one_unused_longest(
    open_plug: OpenPlug, folder: Path
) -> None:
    plug = open_plug(max_warm=2)
    loaded = [await _loads(plug, folder, name) for name in ("sd", "sdxl", "sd", "flux", "sd")]
    assert loaded == [True, True, False, True, False]
    assert await _loads(plug, folder, "sdxl")


async def test_device_when_one_is_warm_gets_the_job(open_plug: OpenPlug, folder: Path) -> None:
    plug = open_plug(devices=("cpu", "cpu"), max_warm=1)
    loaded = [await _loads(plug, folder, name) for name in ("sd", "sdxl", "sd", "sdxl")]
    assert loaded == [True, True, False, False]
    assert None not in plug.pids


async def test_devices_when_both_are_free_work_at_once(open_plug: OpenPlug, folder: Path) -> None:
    plug = open_plug(devices=("cpu", "cpu"))
    first = await _drawing(plug, folder)
    assert await bytes_of(plug, folder.with_name("other"))  # the other one still draws
    assert not first.done()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_close_when_drawing_leaves_no_process(open_plug: OpenPlug, folder: Path) -> None:
    plug = open_plug()
    start = await _drawing(plug, folder)
    (pid,) = plug.pids
    await plug.aclose()
    with pytest.raises(ProviderError):
        await start
    assert pid
    assert not psutil.pid_exists(pid)


async def test_weights_when_they_are_pickles_are_refused(
    open_plug: OpenPlug, models: Models, folder: Path, tmp_path: Path
) -> None:
    for part, name in (("unet", "diffusion_pytorch_model.bin"), ("text_encoder", "model.bin")):
        copy = tmp_path / f"pickled-{part}"
        shutil.copytree(models.sd.source, copy)
        for weights in (copy / part).glob("*.safetensors"):
            weights.unlink()
        torch.save({"weight": torch.zeros(1)}, copy / part / name)
        plug = open_plug(models=(replace(models.sd, source=copy, loras=()),))
        with pytest.raises(ProviderRejected) as caught:
            await made_by(plug, request_of(plug, folder))
        assert caught.value.extra["reason"] == "unloadable"
        assert str(copy) not in caught.value.detail


async def test_hub_when_downloads_are_not_allowed_is_not_asked(
    open_plug: OpenPlug, models: Models, folder: Path
) -> None:
    absent = replace(models.sd, source="nobody/nothing", revision="0" * 40, loras=())
    plug = open_plug(models=(absent,))
    with pytest.raises(ProviderRejected) as caught:
        await made_by(plug, request_of(plug, folder))
    assert caught.value.extra["reason"] == "unloadable"


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "nobody/nothing", "revision": "main"},
        {"source": "nobody/nothing"},
        {"source": "/etc/passwd", "revision": "0" * 40},
        {"size": (65, 64)},
        {"schedulers": ("magic",)},
        {"scheduler": "lcm", "schedulers": ("ddim",)},
    ],
)
def test_model_when_it_is_not_pinned_or_cannot_be_is_no_model(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        LocalModel(**{"id": "m", "source": Path("m"), **wrong})


def test_lora_when_it_is_a_pickle_is_no_lora() -> None:
    with pytest.raises(ValueError, match="safetensors"):
        Lora("waves", Path("waves.bin"))


def test_config_when_devices_are_none_is_refused(models: Models) -> None:
    for devices in ((), ("gpu",), ("cuda:0; rm",)):
        with pytest.raises(ValueError, match="devices"):
            DiffusersConfig(models.all, devices)


async def _loads(plug: DiffusersProvider, folder: Path, model: str) -> bool:
    """Make a picture and say whether its model had to be loaded."""
    handle = Handle()
    await plug.start(request_of(plug, folder, model), handle)
    return "loading the model" in [stage for _, stage in handle.heard]
