"""OpenAI's image models, and servers that speak the same protocol."""

from safelight.providers.openai.config import OpenAiConfig
from safelight.providers.openai.models import MODELS, image_model
from safelight.providers.openai.provider import OpenAiProvider

__all__ = ["MODELS", "OpenAiConfig", "OpenAiProvider", "image_model"]
