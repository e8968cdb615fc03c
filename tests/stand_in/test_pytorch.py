"""The checkpoints: each has the container and the layout of the published file of its network."""

import collections
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ssdconvert.catalog import Catalog
from ssdconvert.checkpoint import load_state_dict
from ssdconvert.labels import label_names
from ssdconvert.networks import build_network, families
from ssdconvert.recipe import Recipe
from ssdconvert.stand_in.pytorch import CHECKPOINTS

LEGACY_START = bytes.fromhex("80028a0a6cfc9c46f920")  # PROTO 2, the magic number as LONG1 of 10 bytes


def pickled_object(path: Path) -> list[tuple[str, Any]]:
    """The opcodes of the object in a legacy container."""
    with path.open("rb") as file:
        for _ in range(3):
            pickle.load(file)
        return [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(file)]


def small_network() -> nn.Module:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    nn.init.normal_(network[1].bias)
    return network


def assert_equal(found: dict[str, Any], network: nn.Module) -> None:
    expected = network.state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found[key], value.numpy(), err_msg=key)


def written(family: str, path: Path) -> nn.Module:
    """A small network in the checkpoint of another family, which all but MLPerf's take."""
    network = small_network()
    CHECKPOINTS[family](network, Catalog().find("ssd300-resnet50").recipe, path)
    return network


def test_every_network_has_a_checkpoint() -> None:
    assert sorted(CHECKPOINTS) == families()


@pytest.mark.parametrize(
    ("name", "container", "form"),
    [
        ("ssd-demo", "legacy", "module"),
        ("ssdlite320-mobilenet-v3", "zip", "state_dict"),
        ("ultraface-rfb-320", "legacy", "state_dict"),
        ("ultraface-slim-320", "legacy", "state_dict"),
    ],
)
def test_containers(stand_ins: dict[str, tuple[Recipe, Path]], name: str, container: str, form: str) -> None:
    recipe, path = stand_ins[name]
    checkpoint = load_state_dict(path)
    assert (checkpoint.container, checkpoint.form) == (container, form)
    network = build_network(
        recipe.source.network, *recipe.input.shape[2:], recipe.classes, recipe.source.options
    )
    assert list(checkpoint.tensors) == list(network.state_dict())
    on_gpu = any("cuda:0" in note for note in checkpoint.notes)
    assert on_gpu == (container == "legacy")
    assert path.read_bytes().startswith(LEGACY_START if container == "legacy" else b"PK")
    file = recipe.source.files[0]
    assert path.stat().st_size == pytest.approx(file.size, rel=0.005)  # that of the published file


@pytest.mark.parametrize("name", ["ultraface-rfb-320", "ultraface-slim-320"])
def test_ultraface_is_as_the_published_file(
    stand_ins: dict[str, tuple[Recipe, Path]], mirror: Path, name: str
) -> None:
    _, path = stand_ins[name]
    published = mirror / name / path.name
    ours, theirs = (load_state_dict(file).tensors for file in (path, published))
    assert [(key, value.shape, value.dtype) for key, value in ours.items()] == [
        (key, value.shape, value.dtype) for key, value in theirs.items()
    ]
    named, wanted = (
        {argument for opcode, argument in pickled_object(file) if opcode == "GLOBAL"}
        for file in (path, published)
    )
    assert named == wanted


def test_nvidia(tmp_path: Path) -> None:
    path = tmp_path / "nvidia.pt"
    network = written("ssd300_resnet50", path)
    found = load_state_dict(path)
    assert (found.container, found.form) == ("legacy", "dict")
    assert_equal(found.tensors, network)
    assert "storages of cuda:0 read on the CPU" in found.notes
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    assert list(checkpoint) == ["epoch", "iteration", "optimizer", "scheduler", "label_map", "model"]
    labels = checkpoint["label_map"]
    assert (labels[0], labels[1], labels[80], len(labels)) == ("background", "person", "toothbrush", 81)
    assert tuple(labels.values())[1:] == label_names("coco-80")
    assert checkpoint["scheduler"]["milestones"] == collections.Counter([43, 54])
    network.load_state_dict(checkpoint["model"])


def test_nvidia_s_optimizer_is_torch_s(tmp_path: Path) -> None:
    """SGD takes its state: a momentum for every parameter, in the groups of the training."""
    path = tmp_path / "nvidia.pt"
    network = written("ssd300_resnet50", path)
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    flat = [parameter for parameter in network.parameters() if parameter.dim() == 1]
    weights = [parameter for parameter in network.parameters() if parameter.dim() == 4]
    optimizer = torch.optim.SGD([{"params": flat}, {"params": weights}], lr=1.0, momentum=0.5)
    optimizer.load_state_dict(checkpoint["optimizer"])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.0005]
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    for parameter in network.parameters():
        momentum = optimizer.state[parameter]["momentum_buffer"]
        assert momentum.shape == parameter.shape
        assert not torch.equal(momentum, parameter)


def test_torchvision(tmp_path: Path) -> None:
    path = tmp_path / "vision.pth"
    network = written("ssd300_vgg16", path)
    found = load_state_dict(path)
    assert (found.container, found.form, found.notes) == ("zip", "state_dict", ())
    assert_equal(found.tensors, network)
    loaded = torch.load(path, weights_only=True)
    assert type(loaded) is collections.OrderedDict
    assert_equal({key: value.numpy() for key, value in loaded.items()}, network)
    assert CHECKPOINTS["ssdlite320_mobilenet_v3"] is CHECKPOINTS["ssd300_vgg16"]
    with zipfile.ZipFile(path) as archive:
        assert "byteorder" not in " ".join(archive.namelist())  # which torch writes since 2.1


def test_linzaer(tmp_path: Path) -> None:
    path = tmp_path / "face.pth"
    network = written("ultraface", path)
    assert_equal(load_state_dict(path).tensors, network)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    assert_equal({key: value.numpy() for key, value in loaded.items()}, network)
    assert loaded._metadata["1"] == {"version": 2}  # batch normalisation's
    locations = [
        argument for _, argument in pickled_object(path) if str(argument).startswith(("cpu", "cuda"))
    ]
    assert set(locations) == {"cuda:0"}


@pytest.mark.parametrize("family", ["ssd300_resnet50", "ssd300_vgg16", "ultraface"])
def test_same_network_same_bytes(tmp_path: Path, family: str) -> None:
    for name in "ab":
        written(family, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
