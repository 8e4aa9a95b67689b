"""Assigns a device to each piece of work: preferably a free one where its model is warm."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from safelight.providers.local.diffusers.device import Device
from safelight.providers.local.diffusers.messages import Setup
from safelight.providers.local.diffusers.models import DiffusersConfig


class Devices:
    """All devices, the least recently used first."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._all = tuple(devices)
        self._free = list(devices)
        self._count = asyncio.Semaphore(len(devices))

    @property
    def pids(self) -> tuple[int | None, ...]:
        return tuple(device.pid for device in self._all)

    @asynccontextmanager
    async def lent(self, model: str, warmth: str) -> AsyncGenerator[Device]:
        """Wait for a free device and lend it.

        A device with the model and its LoRA loaded is preferred, then one with the model.
        """
        async with self._count:
            # Of equals `max` takes the first, which is the least recently used.
            device = max(self._free, key=lambda free: _fitness(free, model, warmth))
            self._free.remove(device)
            try:
                yield device
            finally:
                self._free.append(device)

    async def close(self) -> None:
        """Kill every process, even during work."""
        for device in self._all:
            await device.end()


def open_devices(config: DiffusersConfig) -> Devices:
    return Devices([open_device(config, name) for name in config.devices])


def open_device(config: DiffusersConfig, name: str) -> Device:
    setup = Setup(
        device=name,
        max_warm=config.max_warm,
        max_warm_bytes=config.max_warm_bytes,
        memory_bytes=config.memory_bytes,
        threads=config.threads,
        offline=not config.allow_downloads,
    )
    return Device(setup, start_s=config.start_s, cancel_s=config.cancel_s)


def _fitness(device: Device, model: str, warmth: str) -> int:
    """Return how much of the model is already loaded."""
    if warmth in device.warm:
        return 2
    return int(any(name == model or name.startswith(f"{model}+") for name in device.warm))
