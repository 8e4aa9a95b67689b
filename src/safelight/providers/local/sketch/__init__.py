"""The built-in text-to-image provider: flat illustrations composed by rules."""

from safelight.providers.local.sketch.provider import SketchProvider

__all__ = ["SketchProvider"]
