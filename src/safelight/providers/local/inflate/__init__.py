"""The built-in maker of 3D models: one picture's outline, blown up like a balloon."""

from safelight.providers.local.inflate.provider import InflateProvider

__all__ = ["InflateProvider"]
