"""Runs a saliency network: an ONNX file such as U²-Net, IS-Net or BiRefNet.

The network takes one picture, (1, 3, height, width), and returns one map of it. Its input is
normalized with ImageNet's mean and std, unless `mean` and `std` in the file's metadata (three
comma-separated numbers) override them, as IS-Net needs: 0.5,0.5,0.5 and 1,1,1. The map may be
probabilities or logits; only the first output is used.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnxruntime has no types.

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from safelight.extras import how_to_install
from safelight.providers.errors import ProviderRejected
from safelight.providers.local.inflate.arrays import Bytes, Floats
from safelight.providers.local.inflate.images import read_grid

if TYPE_CHECKING:
    import onnxruntime

_MEAN, _STD = "0.485,0.456,0.406", "0.229,0.224,0.225"  # of ImageNet
_FREE_SIDE = 1024  # for networks of variable size: the usual training size
_MOST_SIDE = 2048
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_CHANNELS = 3
_SURE = 0.5
_ERRORS_ONLY = 3  # onnxruntime log level


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network; it takes pictures of `size`, (rows, columns)."""

    session: "onnxruntime.InferenceSession"
    input: str
    kind: type[np.floating[Any]]
    size: tuple[int, int]
    mean: Floats
    std: Floats

    def ask(self, rgb: Bytes, shape: tuple[int, int]) -> Floats:
        """Return each pixel's coverage by the object, 0 to 1, in the given shape.

        Raises `ProviderRejected` if the network fails or does not return one map.
        """
        colors = np.stack([stretched(rgb[..., k], self.size) for k in range(_CHANNELS)])
        scaled = (colors / 255 - self.mean[:, None, None]) / self.std[:, None, None]
        try:
            given: Any = self.session.run(None, {self.input: scaled[None].astype(self.kind)})[0]
        except Exception as error:  # onnxruntime's errors have no other common base class
            raise _failure(error, "could not be run") from error
        found = np.squeeze(np.asarray(given, np.float32))
        if found.ndim != 2 or not np.isfinite(found).all():  # noqa: PLR2004  rows and columns
            raise ProviderRejected("The mask network does not return one map of the picture.")
        return stretched(_certainty(found), shape)


@lru_cache(maxsize=1)
def load_network(path: Path) -> Network:
    """Return the network of a file, cached for the next picture.

    Raises `ProviderRejected` if onnxruntime is missing, or the file is no such network.
    """
    try:
        import onnxruntime  # noqa: PLC0415  an extra, and heavy
    except ImportError as error:
        raise ProviderRejected(
            f"The mask network needs the extra `onnx`: {how_to_install('onnx')}"
        ) from error
    options = onnxruntime.SessionOptions()
    # The pool runs one child per core, and a memory arena would count against the next call.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other common base class
        raise _failure(error, f"{path.name} could not be opened") from error
    return _described(session, path.name)


def stretched(values: Bytes | Floats, shape: tuple[int, int]) -> Floats:
    """Return values (rows, columns) interpolated at the pixel centers of another shape."""
    down, across = (
        (np.arange(wanted) + 0.5) * (there / wanted) - 0.5
        for wanted, there in zip(shape, values.shape, strict=True)
    )
    return read_grid(values.astype(np.float32), down, across)


def _described(session: "onnxruntime.InferenceSession", name: str) -> Network:
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    is_picture = len(shape) == 4 and shape[1] in {_CHANNELS, None}  # noqa: PLR2004  NCHW
    if len(inputs) != 1 or not is_picture or inputs[0].type not in _KINDS:
        raise ProviderRejected(f"The mask network {name} does not take one picture in RGB.")
    rows, columns = (side if isinstance(side, int) else _FREE_SIDE for side in shape[2:])
    if not 0 < max(rows, columns) <= _MOST_SIDE:
        raise ProviderRejected(f"The mask network {name} wants pictures of over {_MOST_SIDE}.")
    more = session.get_modelmeta().custom_metadata_map
    try:
        mean, std = (
            np.array(more.get(key, usual).split(","), np.float32).reshape(_CHANNELS)
            for key, usual in (("mean", _MEAN), ("std", _STD))
        )
    except ValueError as error:
        raise ProviderRejected(f"The mask network {name} has a wrong mean or std.") from error
    return Network(session, inputs[0].name, _KINDS[inputs[0].type], (rows, columns), mean, std)


def _certainty(found: Floats) -> Floats:
    """Return the map stretched to 0 to 1, if the network saw any object.

    Some networks are never certain, and the outline must be at a half.
    """
    if found.min() < 0 or found.max() > 1:
        found = 1 / (1 + np.exp(-np.clip(found, -30, 30)))
    low, high = float(found.min()), float(found.max())
    return (found - low) / (high - low) if low < _SURE < high else found


def _failure(error: Exception, what: str) -> Exception:
    if isinstance(error, MemoryError) or "alloc" in str(error).lower():
        return MemoryError()
    return ProviderRejected(f"The mask network {what}: {type(error).__name__}.")
