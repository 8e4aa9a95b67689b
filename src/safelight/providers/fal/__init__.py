"""fal's queue, and any of its models by name."""

from safelight.providers.fal.config import FalConfig, FalModel
from safelight.providers.fal.models import MODELS
from safelight.providers.fal.provider import FalProvider

__all__ = ["MODELS", "FalConfig", "FalModel", "FalProvider"]
