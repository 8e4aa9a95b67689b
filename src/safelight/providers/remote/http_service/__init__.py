"""Any HTTP service that makes media, described by its configuration alone."""

from safelight.providers.remote.http_service.provider import HttpProvider
from safelight.providers.remote.http_service.service import HttpService, Later, Signing

__all__ = ["HttpProvider", "HttpService", "Later", "Signing"]
