"""Says whether this machine could make a picture now: packages, weights and devices, at no cost."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path

import orjson

from safelight.providers.local.diffusers.models import DiffusersConfig, LocalModel

_PROBE = "safelight.providers.local.diffusers.probe"
_PROBE_S = 15.0
_INDEX = "model_index.json"


def missing_weights(models: Sequence[LocalModel], hub: Path) -> list[str]:
    """Return what is not on disk, a sentence for each; `hub` is the cache of the hub's files."""
    missing: list[str] = []
    for model in models:
        if isinstance(model.source, Path):
            if not (model.source / _INDEX).is_file():
                missing.append(f"{model.id}: there is no {_INDEX} in {model.source}.")
        elif not _in_hub(model.source, model.revision, hub):
            missing.append(
                f"{model.id}: {model.source} at {model.revision} is not on disk; run "
                f"`hf download {model.source} --revision {model.revision}`."
            )
        missing += [
            f"{model.id}: the LoRA {lora.name} is not at {lora.file}."
            for lora in model.loras
            if not lora.file.is_file()
        ]
    return missing


def _in_hub(source: str, revision: str, hub: Path) -> bool:
    folder = hub / f"models--{source.replace('/', '--')}" / "snapshots" / revision
    return (folder / _INDEX).exists()


def hub_cache() -> Path:
    """Return where the hub's client keeps files, as its own documentation says."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")  # noqa: TID251  the hub's settings
    return Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()  # noqa: TID251


async def faulty_devices(config: DiffusersConfig, *, within_s: float = _PROBE_S) -> list[str]:
    """Return what is wrong with each device, tried by a short-lived process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _PROBE, *config.devices, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(within_s):
            said, _ = await process.communicate()
    except TimeoutError:
        return [f"The devices gave no answer within {within_s:g} s."]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        return ["PyTorch cannot be loaded: check that its wheel fits this machine's driver."]
    found: dict[str, str] = orjson.loads(said)
    return [f"{device}: {fault}" for device, fault in found.items() if fault]
