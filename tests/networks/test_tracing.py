"""Every family is exported without arithmetic to the bytes that it has with it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssdconvert.catalog import Catalog
from ssdconvert.networks import _tracing, build_network, families
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import PytorchSource
from ssdconvert.runners.torch_runner import TorchRunner
from ssdconvert.ssd.heads import BoxCoding, Heads, HeadTensor
from ssdconvert.stages.export import export

QUICK = ("ssd-demo", "ultraface-rfb-320", "ultraface-slim-320")
SLOW = ("ssd300-resnet50", "ssd300-vgg16", "ssdlite320-mobilenet-v3")


def seeded(recipe: Recipe) -> Original:
    """The network of a recipe as it is before training."""
    assert isinstance(recipe.source, PytorchSource)
    torch.manual_seed(1)
    height, width = recipe.input.shape[2:]
    network: Any = build_network(recipe.source.network, height, width, recipe.classes, recipe.source.options)
    coding = BoxCoding(network.default_boxes(), network.variances, network.largest_size_offset)
    heads = Heads(coding, recipe.detections.clip, logits=True)
    names = {name: HeadTensor(name) for name in heads.names}
    return Original(heads, len(coding.default_boxes), network, TorchRunner(network, heads.names), names)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
@pytest.mark.parametrize("opset", [11, 17])
def test_the_same_bytes_as_with_arithmetic(
    name: str, opset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Catalog().find(name).recipe.model_copy(update={"opset": opset})
    original = seeded(recipe)
    export(recipe, original, tmp_path / "without.onnx")
    monkeypatch.setattr(_tracing, "OPERATORS", {})
    export(recipe, original, tmp_path / "with.onnx")
    assert (tmp_path / "without.onnx").read_bytes() == (tmp_path / "with.onnx").read_bytes()


def test_each_family_is_compared() -> None:
    sources = [Catalog().find(name).recipe.source for name in (*QUICK, *SLOW)]
    assert {source.network for source in sources if isinstance(source, PytorchSource)} == set(families())


class Odd(nn.Module):
    """What no family does: padding by a word, running statistics that are not kept, a sum with a number."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(3, 4, 3, padding="same")
        self.unequal = nn.Conv2d(4, 4, (3, 1), (2, 1), (1, 0), bias=False)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.add(self.norm(self.unequal(self.same(image))), 1.0)


def test_what_is_not_traced_as_an_operator_runs_as_it_is() -> None:
    network, image = Odd().eval(), torch.zeros(1, 3, 9, 8)
    with torch.no_grad(), _tracing.WithoutArithmetic():
        nothing = network(image)
    assert nothing.shape == network(image).shape
    assert torch.equal(nothing, torch.ones_like(nothing))


def test_convolutions_and_what_follows_compute_nothing() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    image = torch.ones(1, 3, 7, 5)
    with torch.no_grad(), _tracing.WithoutArithmetic():
        nothing = layers(image) + layers(image)
    assert nothing.shape == layers(image).shape
    assert not nothing.any()
