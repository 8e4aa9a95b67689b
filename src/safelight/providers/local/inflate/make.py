"""Makes a model from a picture: the function to run in a child.

This module is light, because the server imports it to name the function; numpy, scipy and libvips
come in with `safelight.providers.local.inflate.sculpt`, inside the child.
"""

from safelight.providers.local.inflate.order import Fact, Order


def make_model(order: Order) -> dict[str, Fact]:
    """Write the GLB and return the facts of the mesh; for a child process.

    Raises `NoForeground` where no object stands out, and `MediaError` for a damaged picture.
    """
    from safelight.providers.local.inflate.sculpt import sculpt  # noqa: PLC0415  only children load numpy

    return sculpt(order)
