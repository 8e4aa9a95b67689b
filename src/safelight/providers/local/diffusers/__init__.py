"""The operator's own diffusion models, on this machine's GPUs."""

from safelight.providers.local.diffusers.models import DiffusersConfig, LocalModel, Lora, Task
from safelight.providers.local.diffusers.provider import DiffusersProvider

__all__ = ["DiffusersConfig", "DiffusersProvider", "LocalModel", "Lora", "Task"]
