"""fal's queue, and any of its models by name."""

from safelight.providers.remote.fal.config import FalConfig, FalModel
from safelight.providers.remote.fal.models import MODELS
from safelight.providers.remote.fal.provider import FalProvider

__all__ = ["MODELS", "FalConfig", "FalModel", "FalProvider"]
