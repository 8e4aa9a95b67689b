"""Doctor names what a local model lacks: packages, weights, LoRAs, devices."""

from pathlib import Path

import pytest

from safelight.providers.errors import ProviderRejected
from safelight.providers.local.diffusers.device import missing_packages
from safelight.providers.local.diffusers.models import DiffusersConfig, LocalModel, Lora
from safelight.providers.local.diffusers.provider import DiffusersProvider
from safelight.providers.local.diffusers.readiness import faulty_devices, missing_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_weights_when_absent_then_each_is_named_with_its_remedy(tmp_path: Path) -> None:
    folder, lora = tmp_path / "model", tmp_path / "style.safetensors"
    local = LocalModel("own", folder, loras=(Lora("style", lora),))
    hub = LocalModel("hub", "org/name", revision=COMMIT)
    missing = missing_weights([local, hub], tmp_path / "hub")
    assert len(missing) == 3
    assert str(folder) in missing[0]
    assert str(lora) in missing[1]
    assert f"hf download org/name --revision {COMMIT}" in missing[2]


def test_weights_when_on_disk_then_none_is_missing(tmp_path: Path) -> None:
    folder, lora = tmp_path / "model", tmp_path / "style.safetensors"
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / COMMIT
    for each in (folder, snapshot):
        each.mkdir(parents=True)
        (each / "model_index.json").touch()
    lora.touch()
    local = LocalModel("own", folder, loras=(Lora("style", lora),))
    hub = LocalModel("hub", "org/name", revision=COMMIT)
    assert missing_weights([local, hub], tmp_path / "hub") == []


async def test_verify_when_it_could_not_work_then_says_what_is_missing(tmp_path: Path) -> None:
    config = DiffusersConfig((LocalModel("own", tmp_path / "nowhere"),))
    with pytest.raises(ProviderRejected) as caught:
        await DiffusersProvider(config).verify()
    expected = missing_packages() or str(tmp_path / "nowhere")
    assert expected in caught.value.detail


async def test_devices_when_there_is_none_then_are_at_fault(tmp_path: Path) -> None:
    config = DiffusersConfig((LocalModel("own", tmp_path),), devices=("cuda:99",))
    assert len(await faulty_devices(config)) == 1


_TORCH = """
class _Tensor:
    def add_(self, number): return self
def ones(number, *, device):
    if device != "cpu": raise RuntimeError(f"No such device: {device}.\\nA second line")
    return _Tensor()
"""


@pytest.mark.parametrize(
    ("torch", "within_s", "fault"),
    [
        (_TORCH, 30, "cuda:0: No such device: cuda:0."),
        ("import os; os._exit(134)", 30, "PyTorch cannot be loaded: check that its wheel fits"),
        ("import time; time.sleep(60)", 1, "The devices gave no answer within 1 s."),
    ],
)
async def test_devices_when_tried_then_each_fault_is_told_whatever_the_driver_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, within_s: float, fault: str
) -> None:
    (tmp_path / "torch.py").write_text(torch)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = DiffusersConfig((LocalModel("own", tmp_path),), devices=("cpu", "cuda:0"))
    (found,) = await faulty_devices(config, within_s=within_s)
    assert found.startswith(fault)
