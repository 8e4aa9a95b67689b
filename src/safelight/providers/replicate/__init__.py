"""Replicate, and any of its models by name."""

from safelight.providers.replicate.config import ReplicateConfig, ReplicateModel
from safelight.providers.replicate.learning import describe, learn
from safelight.providers.replicate.models import MODELS
from safelight.providers.replicate.provider import ReplicateProvider

__all__ = [
    "MODELS",
    "ReplicateConfig",
    "ReplicateModel",
    "ReplicateProvider",
    "describe",
    "learn",
]
