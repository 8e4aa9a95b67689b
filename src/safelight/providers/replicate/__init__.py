"""Replicate, and any of its models by name."""

from safelight.providers.replicate.config import Price, ReplicateConfig, ReplicateModel
from safelight.providers.replicate.learning import describe, learn
from safelight.providers.replicate.models import MODELS
from safelight.providers.replicate.provider import ReplicateProvider

__all__ = [
    "MODELS",
    "Price",
    "ReplicateConfig",
    "ReplicateModel",
    "ReplicateProvider",
    "describe",
    "learn",
]
