"""Pictures by diffusion models of the operator's own, on this machine's GPUs."""

from safelight.providers.diffusers.models import DiffusersConfig, LocalModel, Lora, Task
from safelight.providers.diffusers.provider import DiffusersProvider

__all__ = ["DiffusersConfig", "DiffusersProvider", "LocalModel", "Lora", "Task"]
