"""The built-in image-to-3D provider: a picture's outline, inflated like a balloon."""

from safelight.providers.local.inflate.provider import InflateProvider

__all__ = ["InflateProvider"]
