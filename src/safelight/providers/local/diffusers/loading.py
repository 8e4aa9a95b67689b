"""Loads a diffusers model from safetensors, moves it to a device, and applies LoRAs."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# These packages are only in the extra `diffusers`, so their types are unknown.

from pathlib import Path
from typing import Any

import torch
from diffusers import schedulers
from diffusers.pipelines.auto_pipeline import AutoPipelineForImage2Image, AutoPipelineForInpainting
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from safelight.providers.local.diffusers.messages import LoraFile, Weights
from safelight.providers.local.diffusers.models import Offload, Task
from safelight.providers.local.diffusers.schedulers import SCHEDULERS

_PICKLES = frozenset({".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth"})


class Unloadable(Exception):
    """A model or LoRA cannot be loaded; the message may be shown to users."""


class Warm:
    """A model in memory, restored to its original state for each job."""

    def __init__(self, weights: Weights, pipe: Any) -> None:
        self.worn = ""
        self.bytes = _bytes_of(pipe)
        self._weights = weights
        self._pipe = pipe
        self._own_scheduler: dict[str, Any] = dict(pipe.scheduler.config)
        self._own_class: Any = type(pipe.scheduler)

    def place(self, device: str) -> None:
        """Move the model to its device."""
        match Offload(self._weights.offload):
            case Offload.NONE:
                self._pipe.to(device)
            case Offload.MODEL:
                self._pipe.enable_model_cpu_offload(device=device)
            case Offload.SEQUENTIAL:
                self._pipe.enable_sequential_cpu_offload(device=device)

    def wear(self, lora: LoraFile | None) -> None:
        """Load the LoRA of the next job, or unload the last one."""
        wanted = lora.name if lora else ""
        if self.worn and self.worn != wanted:
            self._pipe.unload_lora_weights()
            self.worn = ""
        if lora is None:
            return
        name = f"lora_{lora.name.replace('.', '_')}"  # module paths cannot contain dots
        if not self.worn:
            self._put_on(lora, name)
        self._pipe.set_adapters([name], adapter_weights=[lora.weight])

    def pipe(self, task: Task, scheduler: str) -> tuple[Any, str]:
        """Return the model, ready for one picture, and the name of its scheduler class.

        The scheduler is always new: it is stateful, and state must not leak between jobs.
        """
        if scheduler:
            chosen = SCHEDULERS[scheduler]
            kind, options = getattr(schedulers, chosen.kind), chosen.options
        else:
            kind, options = self._own_class, {}
        fresh = kind.from_config(self._own_scheduler, **options)
        self._pipe.scheduler = fresh
        pipe = _for_task(self._pipe, task)
        pipe.set_progress_bar_config(disable=True)
        return pipe, kind.__name__

    def rest(self) -> None:
        """Offload what an interrupted picture left on the device."""
        self._pipe.maybe_free_model_hooks()

    def _put_on(self, lora: LoraFile, name: str) -> None:
        try:
            self._pipe.load_lora_weights(
                str(lora.file.parent),
                weight_name=lora.file.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
        except (AttributeError, KeyError, OSError, ValueError) as error:
            raise Unloadable(f"The LoRA {lora.name} does not fit this model.") from error
        self.worn = lora.name


def quiet() -> None:
    """Silence the libraries' progress bars and hints."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def load(weights: Weights, *, offline: bool) -> Warm:
    """Return the model in main memory, or raise `Unloadable`."""
    if weights.is_folder:
        _refuse_pickles(weights)
    pinned = {} if weights.is_folder else {"revision": weights.revision}
    try:
        pipe: Any = DiffusionPipeline.from_pretrained(
            weights.source,
            **pinned,
            variant=weights.variant or None,
            dtype=getattr(torch, weights.dtype),
            use_safetensors=True,
            local_files_only=offline or weights.is_folder,
            trust_remote_code=False,
            low_cpu_mem_usage=True,
        )
    except (AttributeError, ImportError, KeyError, OSError, ValueError) as error:
        raise Unloadable(f"The model {weights.id} cannot be loaded; the log says why.") from error
    return Warm(weights, pipe)


def _refuse_pickles(weights: Weights) -> None:
    """Reject a component that has only pickled weights, which can run code when loaded."""
    folder = Path(weights.source)
    if not (folder / "model_index.json").is_file():
        raise Unloadable(f"The folder of {weights.id} has no diffusers model.")
    for part in (path for path in folder.iterdir() if path.is_dir()):
        endings = {path.suffix for path in part.iterdir()}
        if endings & _PICKLES and ".safetensors" not in endings:
            raise Unloadable(f"The weights of {weights.id} ({part.name}) are not safetensors.")


def _for_task(pipe: Any, task: Task) -> Any:
    """Return the pipeline for a task, sharing the model's memory."""
    match task:
        case Task.TEXT:
            return pipe
        case Task.IMAGE:
            return AutoPipelineForImage2Image.from_pipe(pipe)
        case Task.INPAINT:
            return AutoPipelineForInpainting.from_pipe(pipe)


def _bytes_of(pipe: Any) -> int:
    return sum(
        weight.numel() * weight.element_size()
        for part in pipe.components.values()
        if isinstance(part, torch.nn.Module)
        for weight in part.parameters()
    )
