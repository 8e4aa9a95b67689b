"""The plug's pictures by model, which the same seed reproduces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from safelight.providers.errors import ProviderBadInput, ProviderRejected
from safelight.providers.local.diffusers import DiffusersProvider
from safelight.providers.local.diffusers.schedulers import SCHEDULERS
from tests.gpu.asking import Handle, bytes_of, made_by, mask, picture, request_of

OpenPlug = Callable[..., DiffusersProvider]
KINDS = ("sd", "sdxl", "flux")


@pytest.mark.parametrize("model", KINDS)
async def test_text_when_asked_for_makes_a_picture_of_that_size(
    plug: DiffusersProvider, folder: Path, model: str
) -> None:
    done = await made_by(plug, request_of(plug, folder, model, size="64x96", format="webp"))
    (made,) = done.outputs
    assert made.path.is_relative_to(folder)
    assert made.media_type == "image/webp"
    with Image.open(made.path) as opened:
        assert (opened.size, opened.format) == ((64, 96), "WEBP")
    assert made.facts["seed"] == 7
    assert made.facts["steps"] == 3
    assert made.facts["revision"] == "local folder"
    assert made.facts["scheduler"].endswith("Scheduler")
    assert {"load_s", "run_s", "torch", "diffusers"} <= set(done.facts)
    assert done.cost_micros is None
    orjson.dumps([dict(made.facts), dict(done.facts)])


@pytest.mark.parametrize("model", KINDS)
async def test_picture_when_given_is_worked_from_at_its_own_size(
    plug: DiffusersProvider, folder: Path, model: str
) -> None:
    source = picture(folder, 70, 100)
    done = await made_by(plug, request_of(plug, folder, model, inputs=(source,), strength=0.5))
    with Image.open(done.outputs[0].path) as opened:
        assert opened.size == (64, 96)
    assert done.outputs[0].facts["strength"] == 0.5


@pytest.mark.parametrize("model", KINDS)
async def test_mask_when_given_keeps_what_is_solid_to_the_pixel(
    plug: DiffusersProvider, folder: Path, model: str
) -> None:
    source = picture(folder)
    done = await made_by(plug, request_of(plug, folder, model, inputs=(source, mask(folder))))
    with Image.open(done.outputs[0].path) as made, Image.open(source.path) as before:
        right, left = (32, 0, 64, 64), (0, 0, 32, 64)
        assert made.crop(right).tobytes() == before.crop(right).tobytes()
        assert made.crop(left).tobytes() != before.crop(left).tobytes()


async def test_seed_when_the_same_gives_the_same_bytes_in_another_process(
    plug: DiffusersProvider, open_plug: OpenPlug, folder: Path
) -> None:
    for model in KINDS:
        here = await bytes_of(plug, folder, model)
        assert here == await bytes_of(open_plug(), folder, model)
        assert here != await bytes_of(plug, folder, model, seed=8)


async def test_several_when_asked_for_can_each_be_made_alone(
    plug: DiffusersProvider, folder: Path
) -> None:
    done = await made_by(plug, request_of(plug, folder, n=3, seed=2**32 - 2))
    several = [made.path.read_bytes() for made in done.outputs]
    seeds = [made.facts["seed"] for made in done.outputs]
    assert seeds == [2**32 - 2, 2**32 - 1, 0]
    assert several == [(await bytes_of(plug, folder, seed=seed))[0] for seed in seeds]
    assert len(set(several)) == 3


async def test_scheduler_when_named_is_used_afresh_each_time(
    plug: DiffusersProvider, folder: Path
) -> None:
    first = {name: await bytes_of(plug, folder, scheduler=name) for name in SCHEDULERS}
    again = {name: await bytes_of(plug, folder, scheduler=name) for name in reversed([*SCHEDULERS])}
    assert first == again
    assert len({made[0] for made in first.values()}) >= len(SCHEDULERS) - 1
    assert await bytes_of(plug, folder) == first["ddim"]  # which is this model's own


async def test_lora_when_asked_for_is_worn_for_that_job_only(
    plug: DiffusersProvider, folder: Path
) -> None:
    plain = await bytes_of(plug, folder)
    worn = await bytes_of(plug, folder, lora="waves")
    weaker = await bytes_of(plug, folder, lora="waves", lora_weight=0.3)
    assert len({plain[0], worn[0], weaker[0]}) == 3
    assert await bytes_of(plug, folder, lora="waves") == worn
    assert await bytes_of(plug, folder) == plain
    done = await made_by(plug, request_of(plug, folder, lora="waves", lora_weight=0.3))
    assert done.outputs[0].facts["lora"] == "waves"
    assert done.outputs[0].facts["lora_weight"] == 0.3


async def test_negative_prompt_when_given_changes_the_picture(
    plug: DiffusersProvider, folder: Path
) -> None:
    assert await bytes_of(plug, folder) != await bytes_of(plug, folder, negative_prompt="dog")


async def test_progress_when_drawing_only_rises(plug: DiffusersProvider, folder: Path) -> None:
    handle = Handle()
    await plug.start(request_of(plug, folder, n=2, steps=5), handle)
    percents = [percent for percent, _ in handle.heard]
    assert len(percents) >= 10
    assert percents == sorted(percents)
    assert 0 <= percents[0] < percents[-1] <= 100


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("sd", {"size": "65x64"}),
        ("sd", {"size": "32x64"}),
        ("sd", {"size": "4096x4096"}),
        ("flux", {"size": "72x64"}),
    ],
)
async def test_size_when_the_model_cannot_make_it_is_refused_before_anything_starts(
    open_plug: OpenPlug, folder: Path, model: str, params: dict[str, Any]
) -> None:
    plug = open_plug()
    with pytest.raises(ProviderBadInput):
        await made_by(plug, request_of(plug, folder, model, **params))
    assert plug.pids == (None,)


async def test_strength_when_no_step_is_left_is_refused(
    plug: DiffusersProvider, folder: Path
) -> None:
    request = request_of(plug, folder, inputs=(picture(folder),), strength=0.3)
    with pytest.raises(ProviderBadInput, match="Strength"):
        await plug.start(request, Handle())


async def test_mask_when_of_no_use_is_refused(plug: DiffusersProvider, folder: Path) -> None:
    source = picture(folder)
    for useless in (mask(folder, alpha=255), mask(folder, 32, 32)):
        request = request_of(plug, folder, inputs=(source, useless))
        with pytest.raises(ProviderBadInput, match="mask"):
            await plug.start(request, Handle())


async def test_picture_when_it_is_none_is_refused(plug: DiffusersProvider, folder: Path) -> None:
    source = picture(folder)
    source.path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(ProviderBadInput):
        await plug.start(request_of(plug, folder, inputs=(source,)), Handle())


async def test_model_when_not_on_the_list_is_refused(plug: DiffusersProvider, folder: Path) -> None:
    request = request_of(plug, folder)
    stranger = type(request)(request.kind, "/etc", "a cat", request.params, (), folder)
    with pytest.raises(ProviderRejected):
        await plug.start(stranger, Handle())
