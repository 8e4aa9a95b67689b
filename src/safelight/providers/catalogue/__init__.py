"""The model catalogue: a file that defines which models are offered, to whom, and at what price."""

from safelight.providers.catalogue.catalogue import (
    Catalogue,
    Change,
    ProviderLimits,
    VendorOffer,
    object_of,
)
from safelight.providers.catalogue.changes import changed
from safelight.providers.catalogue.read import naming, read_catalogue

__all__ = [
    "Catalogue",
    "Change",
    "ProviderLimits",
    "VendorOffer",
    "changed",
    "naming",
    "object_of",
    "read_catalogue",
]
