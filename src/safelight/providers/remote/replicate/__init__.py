"""Replicate, and any of its models by name."""

from safelight.providers.remote.replicate.config import ReplicateConfig, ReplicateModel
from safelight.providers.remote.replicate.learning import describe, learn
from safelight.providers.remote.replicate.models import MODELS
from safelight.providers.remote.replicate.provider import ReplicateProvider

__all__ = [
    "MODELS",
    "ReplicateConfig",
    "ReplicateModel",
    "ReplicateProvider",
    "describe",
    "learn",
]
