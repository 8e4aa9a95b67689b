"""OpenAI's image models, and servers that speak the same protocol."""

from safelight.providers.remote.openai.config import OpenAiConfig
from safelight.providers.remote.openai.models import MODELS, image_model
from safelight.providers.remote.openai.provider import OpenAiProvider

__all__ = ["MODELS", "OpenAiConfig", "OpenAiProvider", "image_model"]
