"""Work of a GPU process: keep models warm, make pictures, detect out-of-memory.

Imports torch and diffusers, so only `child.py` may import it.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# These packages are only in the extra `diffusers`, so their types are unknown.

import gc
import time
import traceback
from collections.abc import Callable

import diffusers
import torch

from safelight.providers.local.diffusers.loading import Unloadable, Warm, load, quiet
from safelight.providers.local.diffusers.messages import (
    Answer,
    Failed,
    FailureCode,
    Finished,
    Load,
    Make,
    Order,
    Setup,
    Weights,
    warmth,
)
from safelight.providers.local.diffusers.painting import Canceled, Painting, Refused
from safelight.providers.local.diffusers.pictures import BadPicture

HowFar = Callable[[float, str], None]

# torch's messages for out-of-memory on a CPU, which has no error class.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")


def versions() -> tuple[str, str]:
    return str(torch.__version__), str(diffusers.__version__)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether out-of-memory caused the error; libraries wrap it in their own."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, OSError | RuntimeError) and _tells_no_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tells_no_memory(error: Exception) -> bool:
    return any(words in str(error).lower() for words in _NO_MEMORY)


class Studio:
    """The warm models of one device, the most recently used last."""

    def __init__(self, setup: Setup, is_canceled: Callable[[], bool]) -> None:
        self._setup = setup
        self._is_canceled = is_canceled
        self._warm: dict[str, Warm] = {}
        quiet()
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        # The same seed must give the same picture, even if that is a little slower.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False

    def do(self, work: Make | Load, how_far: HowFar) -> Answer:
        """Return the outcome. Raises only unexpected errors."""
        weights = work.weights if isinstance(work, Load) else work.order.weights
        alone = all(name == weights.id for name in self._warm)
        try:
            return self._do(work, how_far)
        except Canceled:
            return self._failed("canceled", "The work was canceled.")
        except (BadPicture, Refused) as error:
            return self._failed(error.code, str(error))
        except Exception as error:
            if is_out_of_memory(error):
                traceback.print_exc()
                return self._failed("memory", "The device has too little memory.", alone=alone)
            if isinstance(error, Unloadable):
                traceback.print_exc()
                return self._failed("unloadable", str(error))
            raise

    def _do(self, work: Make | Load, how_far: HowFar) -> Finished:
        weights = work.weights if isinstance(work, Load) else work.order.weights
        began = time.monotonic()
        if weights.id not in self._warm:
            how_far(0, "loading the model")
        warm = self._ready(weights)
        if isinstance(work, Load):
            return Finished(self._names(), time.monotonic() - began)
        return self._make(work.order, warm, began, how_far)

    def _make(self, order: Order, warm: Warm, began: float, how_far: HowFar) -> Finished:
        warm.wear(order.lora)
        loaded = time.monotonic()
        painting = Painting(order, warm, how_far, self._is_canceled)
        pictures = painting.paint()
        return Finished(
            self._names(),
            load_s=round(loaded - began, 3),
            run_s=round(time.monotonic() - loaded, 3),
            scheduler=painting.scheduler,
            pictures=pictures,
        )

    def _ready(self, weights: Weights) -> Warm:
        """Return the model, warm and marked as the most recently used."""
        warm = self._warm.pop(weights.id, None)
        if warm is None:
            while len(self._warm) >= self._setup.max_warm:
                self._forget_oldest()
            warm = load(weights, offline=self._setup.offline)
            self._make_room(warm.bytes)
            warm.place(self._setup.device)
        self._warm[weights.id] = warm
        return warm

    def _make_room(self, wanted: int) -> None:
        most = self._setup.max_warm_bytes
        while most is not None and self._warm and self._held() + wanted > most:
            self._forget_oldest()

    def _held(self) -> int:
        return sum(warm.bytes for warm in self._warm.values())

    def _forget_oldest(self) -> None:
        del self._warm[next(iter(self._warm))]
        _free()

    def _names(self) -> tuple[str, ...]:
        return tuple(warmth(name, warm.worn) for name, warm in self._warm.items())

    def _failed(self, code: FailureCode, message: str, **facts: bool) -> Failed:
        return Failed(code, message, self._names(), dict(facts))


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
