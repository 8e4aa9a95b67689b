"""Entry points of the child process that makes a model from a picture.

This module imports little, because the server imports it to name the function; numpy, scipy and
libvips are imported by `safelight.providers.local.inflate.sculpt`, inside the child.
"""

from pathlib import Path

from safelight.providers.local.inflate.order import Fact, Order


def make_model(order: Order) -> dict[str, Fact]:
    """Write the GLB and return the mesh's facts; runs in a child process.

    Raises `NoForeground` if no object stands out, and `MediaError` for a damaged picture.
    """
    from safelight.providers.local.inflate.sculpt import sculpt  # noqa: PLC0415  only children load numpy

    return sculpt(order)


def check_network(path: Path) -> str:
    """Load a mask network and say so; raises `ProviderRejected` with the reason."""
    from safelight.providers.local.inflate.saliency import load_network  # noqa: PLC0415  as above

    load_network(path)
    return f"the mask network {path.name} can be loaded"
