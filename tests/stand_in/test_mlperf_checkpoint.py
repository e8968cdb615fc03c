"""The file that stands for MLPerf's: what it names, that it is of the dangerous kind, that torch agrees."""

import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.checkpoint import load_state_dict
from ssdconvert.networks.ssd_resnet34 import SSDResNet34
from ssdconvert.stand_in.mlperf_checkpoint import write_mlperf_checkpoint

SIZE, CLASSES, WIDTH = 400, 5, 1 / 8

# torch.load by the stock unpickler, over modules that stand for those of 2019
LOAD_WITH_TORCH = """
import sys, types, warnings
import numpy as np, torch
from torch import nn

def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)

def declared(module_name, *names, base=nn.Module):
    return {name: type(name, (base,), {"__module__": module_name}) for name in names}

module("models")
module("models.ssd_r34", **declared("models.ssd_r34", "SSD_R34"),
       **declared("models.ssd_r34", "Encoder", base=object))
module("models.base_model_r34", **declared("models.base_model_r34", "ResNet34"))
module("torchvision"), module("torchvision.models")
module("torchvision.models.resnet", **declared("torchvision.models.resnet", "BasicBlock"))
module("torch.nn.backends"), module("torch.nn.backends.thnn", _get_thnn_function_backend=lambda: None)
warnings.simplefilter("ignore")
loaded = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
assert type(loaded).__qualname__ == "SSD_R34" and loaded.encoder.nboxes == len(loaded.encoder.dboxes)
assert type(loaded.conf[0]) is nn.Conv2d and loaded.conf[0].padding_mode == "zeros"
assert (loaded.label_num, loaded.size, loaded.device) == (5, (400, 400), 1)
loaded.loc[0](torch.zeros(1, loaded.out_chan[0], 9, 9))  # the layers work
np.savez(sys.argv[2], **{key: value.numpy() for key, value in loaded.state_dict().items()})
"""


@pytest.fixture(scope="module")
def network() -> SSDResNet34:
    torch.manual_seed(7)
    return SSDResNet34(SIZE, CLASSES, WIDTH).eval()


@pytest.fixture(scope="module")
def path(network: SSDResNet34, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlperf") / "ssd.pytorch"
    write_mlperf_checkpoint(network, path)
    return path


def equal(found: dict[str, Any], network: SSDResNet34) -> bool:
    expected = network.state_dict()
    return list(found) == list(expected) and all(
        found[key].shape == tuple(value.shape)
        and found[key].dtype == value.numpy().dtype
        and np.array_equal(found[key], value.numpy())
        for key, value in expected.items()
    )


def test_round_trip(network: SSDResNet34, path: Path) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    checkpoint = load_state_dict(path, shapes)
    assert (checkpoint.container, checkpoint.form) == ("legacy", "module")
    assert equal(checkpoint.tensors, network)
    assert equal(load_state_dict(path).tensors, network)
    assert any("models.ssd_r34.SSD_R34" in note for note in checkpoint.notes)
    assert "storages of cuda:0 read on the CPU" in checkpoint.notes
    network.load_state_dict({key: torch.from_numpy(value) for key, value in checkpoint.tensors.items()})


def test_same_network_same_bytes(network: SSDResNet34, path: Path, tmp_path: Path) -> None:
    again = SSDResNet34(SIZE, CLASSES, WIDTH).eval()
    again.load_state_dict(network.state_dict())
    write_mlperf_checkpoint(again, tmp_path / "b.pytorch")
    assert (tmp_path / "b.pytorch").read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "b.pytorch"]


def test_size_and_no_trace_of_this_machine(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 2_000_000
    assert str(Path.cwd()).encode() not in data
    assert b"site-packages" not in data


def test_names_what_the_file_of_2019_names(path: Path) -> None:
    with path.open("rb") as file:
        for _ in range(3):
            pickle.load(file)
        opcodes = list(pickletools.genops(file))
    assert {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"} == {
        *("models.ssd_r34 SSD_R34", "models.ssd_r34 Encoder", "models.base_model_r34 ResNet34"),
        *("torchvision.models.resnet BasicBlock", "collections OrderedDict"),
        *(f"torch.nn.modules.container {name}" for name in ("Sequential", "ModuleList")),
        *("torch.nn.modules.conv Conv2d", "torch.nn.modules.batchnorm BatchNorm2d"),
        *("torch.nn.modules.activation ReLU", "torch.nn.modules.pooling MaxPool2d"),
        *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
        *("torch FloatStorage", "torch LongStorage"),
        "torch.nn.backends.thnn _get_thnn_function_backend",
    }


def test_torch_refuses_it_as_weights(path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match="Weights only"):
        torch.load(path, weights_only=True, map_location="cpu")


def test_torch_reads_the_same_tensors(network: SSDResNet34, path: Path, tmp_path: Path) -> None:
    result = tmp_path / "tensors.npz"
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITH_TORCH, str(path), str(result)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert equal(dict(np.load(result)), network)


def test_flagship_classes_and_other_sizes(tmp_path: Path) -> None:
    network = SSDResNet34(385, 81, 1 / 16)
    write_mlperf_checkpoint(network, tmp_path / "c.pytorch")
    assert equal(load_state_dict(tmp_path / "c.pytorch").tensors, network)


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
@pytest.mark.parametrize("form", ["module", "dict", "state_dict"])
def test_the_forms_of_the_flagship_load_alike(
    network: SSDResNet34, path: Path, tmp_path: Path, form: str, zipped: bool
) -> None:
    """Beside MLPerf's whole module: Intel's dictionary with `model`, and a bare state_dict."""
    file = path
    if form != "module":
        file = tmp_path / "resnet34-ssd1200.pth"
        state_dict = network.state_dict()
        saved = {"epoch": 3, "model": state_dict} if form == "dict" else state_dict
        torch.save(saved, file, _use_new_zipfile_serialization=zipped)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    checkpoint = load_state_dict(file, shapes)
    assert checkpoint.form == form
    assert equal(checkpoint.tensors, network)
