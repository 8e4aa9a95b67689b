"""A network in an ONNX file tells what the object is, wherever the operator has named one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import pyvips
from onnx import TensorProto, helper

from safelight.cpu import CpuPool
from safelight.providers.errors import NoForeground, ProviderRejected
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.inflate.mask import Mask, find_object
from safelight.providers.local.inflate.picture import SourcePicture, load_picture
from safelight.providers.local.inflate.saliency import load_network
from safelight.providers.provider import Done, InputFile, Kind, ProviderRequest

_IMAGENET = (0.485, 0.229)  # mean and spread of red


def _network(
    path: Path,
    *,
    size: tuple[int | str, int | str] = (64, 64),
    scale: tuple[float, float] = _IMAGENET,
    gain: float = 1.0,
    shift: float = 0.0,
    channels: int = 3,
    given: int = 1,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a network that gives back how red each pixel is, times `gain` plus `shift`."""
    mean, spread = scale
    shape = [1, channels, *size]
    numbers = {"spread": [spread * gain], "mean": [mean * gain + shift]}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["picture", "channels"], ["red"], axis=1),
            helper.make_node("Mul", ["red", "spread"], ["scaled"]),
            helper.make_node("Add", ["scaled", "mean"], ["map"]),
        ],
        "redness",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, given, *size])],
        [
            helper.make_tensor("channels", TensorProto.INT64, [given], [0] * given),
            *(helper.make_tensor(name, TensorProto.FLOAT, [1], v) for name, v in numbers.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def _busy(path: Path) -> Path:
    """Write a picture of a red disc in the right half, on a background of blue and green noise."""
    down, across = np.mgrid[:200, :300]
    pixels = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    pixels[..., 0] = np.where(_disc(down, across), 250, 10)
    pyvips.Image.new_from_array(pixels).pngsave(str(path))
    return path


def _disc(down: Any, across: Any) -> Any:
    return np.hypot(down - 100, across - 200) < 70


def _picture(folder: Path) -> SourcePicture:
    return load_picture(_busy(folder / "busy.png"), 1024)


def _assert_disc(mask: Mask) -> None:
    rows, columns = mask.coverage.shape
    assert (rows, columns) == (200, 300)
    wanted = _disc(*np.mgrid[:rows, :columns])
    found = mask.coverage > 0.5
    assert (found & wanted).sum() / (found | wanted).sum() > 0.95
    assert mask.coverage.min() >= 0
    assert mask.coverage.max() <= 1


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"size": (48, 96)},
        {"size": ("height", "width")},
        {"gain": 20, "shift": -10},
        {"gain": 0.6, "shift": 0.1},
        {"scale": (0.5, 1), "metadata": {"mean": "0.5,0.5,0.5", "std": "1,1,1"}},
    ],
    ids=["usual", "oblong", "of any size", "of logits", "never quite sure", "otherwise scaled"],
)
def test_mask_when_a_network_is_asked_is_what_it_sees(tmp_path: Path, kind: dict[str, Any]) -> None:
    network = _network(tmp_path / "net.onnx", **kind)
    _assert_disc(find_object(_picture(tmp_path), "onnx", network))


def test_auto_when_the_background_is_busy_asks_the_network(tmp_path: Path) -> None:
    mask = find_object(_picture(tmp_path), "auto", _network(tmp_path / "net.onnx"))
    assert mask.name == "onnx"
    _assert_disc(mask)


def test_auto_when_the_background_is_plain_does_without_the_network(tmp_path: Path) -> None:
    image = pyvips.Image.black(300, 200, bands=3).draw_circle([250, 0, 0], 150, 100, 60, fill=True)
    image.pngsave(str(tmp_path / "plain.png"))
    picture = load_picture(tmp_path / "plain.png", 1024)
    assert find_object(picture, "auto", tmp_path / "missing.onnx").name == "border"


def test_mask_when_the_network_sees_nothing_is_no_foreground(tmp_path: Path) -> None:
    network = _network(tmp_path / "net.onnx", gain=0.1)
    with pytest.raises(NoForeground):
        find_object(_picture(tmp_path), "onnx", network)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ({"channels": 1}, "does not take one picture"),
        ({"given": 2}, "does not return one map"),
        ({"size": (4096, 4096)}, "wants pictures of over"),
        ({"metadata": {"mean": "nought"}}, "wrong mean or std"),
        ({"shift": float("nan")}, "does not return one map"),
    ],
)
def test_network_when_it_is_of_another_kind_is_refused(
    tmp_path: Path, kind: dict[str, Any], says: str
) -> None:
    network = _network(tmp_path / "net.onnx", **kind)
    with pytest.raises(ProviderRejected, match=says):
        find_object(_picture(tmp_path), "onnx", network)


def test_network_when_its_file_is_damaged_or_missing_says_so(tmp_path: Path) -> None:
    network = _network(tmp_path / "net.onnx")
    network.write_bytes(network.read_bytes()[:60])
    for path in (network, tmp_path / "missing.onnx"):
        with pytest.raises(ProviderRejected, match=f"{path.name} could not be opened") as caught:
            load_network(path)
        assert str(tmp_path) not in caught.value.detail


@dataclass(slots=True)
class _Attempt:
    id: str = "att_1"
    callback_url: str | None = None
    news: bytes | None = None

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        """Nobody listens."""


@pytest.fixture
async def pool(anyio_backend: str) -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


@pytest.mark.parametrize("params", [{}, {"mask": "onnx"}], ids=["auto", "onnx"])
async def test_provider_when_given_a_network_makes_a_model_of_what_it_sees(
    tmp_path: Path, pool: CpuPool, params: dict[str, Any]
) -> None:
    provider = InflateProvider(pool, saliency=_network(tmp_path / "net.onnx"))
    (model,) = provider.capabilities()
    assert "onnx" in model.params_schema["properties"]["mask"]["enum"]
    request = ProviderRequest(
        kind=Kind.IMAGE_TO_3D,
        model="inflate",
        prompt="",
        params={"face_limit": 1000, **params},
        inputs=(InputFile(_busy(tmp_path / "busy.png"), "image/png", "busy.png"),),
        folder=tmp_path,
    )
    (tmp_path / "scratch").mkdir()
    done = await provider.start(request, _Attempt())
    assert isinstance(done, Done)
    assert done.outputs[0].facts["mask"] == "onnx"
    assert done.outputs[0].facts["watertight"] is True


def test_schema_when_there_is_no_network_does_not_offer_one() -> None:
    (model,) = InflateProvider(CpuPool(1)).capabilities()
    assert "onnx" not in model.params_schema["properties"]["mask"]["enum"]
