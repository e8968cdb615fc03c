"""Weights from a seed: maps that neither vanish nor explode, heads that stand rounding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ssdconvert.catalog import Catalog
from ssdconvert.gate_limits import DEFAULT_LIMITS
from ssdconvert.networks import build_network, families
from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import Recipe
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import original_input
from ssdconvert.stages.load import load
from ssdconvert.stand_in.weights import _heads_of, _statistics, seeded_network

OPTIONS = {"ssd_resnet34": (400, {"channel_multiplier": 1 / 16}), "ssdlite320_mobilenet_v3": (320, {})}


@pytest.fixture
def network_and_images(small: tuple[Recipe, Path]) -> tuple[Any, torch.Tensor]:
    """A stand-in's network and the normalised pictures."""
    recipe, path = small
    network = load(recipe, {path.name: path}).model
    pictures = [read_picture(package_file(reference)) for reference in recipe.pictures or EMBEDDED]
    images = np.concatenate([original_input(pixels, recipe.input) for pixels in pictures])
    return network.eval(), torch.from_numpy(images)


def test_every_layer_says_something(network_and_images: tuple[Any, torch.Tensor]) -> None:
    network, images = network_and_images
    deviations: dict[str, float] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: deviations.__setitem__(name, output.std().item())
            )
    with torch.no_grad():
        logits, offsets = network(images)
    assert min(deviations.values()) > 0.02
    assert max(deviations.values()) < 30
    assert 0.3 < offsets.std() < 1.2  # exp() of them stays tame
    assert offsets.abs().max() < 8
    assert 0.5 < logits[..., 1:].std() < 5


def test_rounding_weights_to_16_bits_moves_the_heads_little(
    network_and_images: tuple[Any, torch.Tensor],
) -> None:
    """Without the shift a random network is chaotic, and this costs more than the gate allows."""
    network, images = network_and_images
    with torch.no_grad():
        expected = network(images)
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
        rounded = network(images)
    for one, other in zip(expected, rounded, strict=True):
        error = ((one - other).abs().max() / one.abs().max()).item()
        assert 1e-5 < error < DEFAULT_LIMITS["FP16"].heads / 2


def test_heads_are_found_in_every_network() -> None:
    """The background of each class head is class 0 of every anchor: raising it raises nothing else."""
    for family in families():
        if family in ("ssd300_resnet50", "ssd300_vgg16"):
            size, options = 300, {}
        else:
            size, options = OPTIONS.get(family, (240, {}))  # type: ignore[assignment]
        network: Any = build_network(family, size, size, 4, options).eval()
        class_heads, box_heads, background = _heads_of(network)
        assert len(class_heads) == len(box_heads) >= 4
        with torch.no_grad():
            for head in (*class_heads, *box_heads):
                head.weight.zero_()
                assert head.bias is not None
                head.bias.zero_()
            for head in class_heads:
                head.bias[background(head.out_channels // 4, 4)] += 2  # type: ignore[index]
            for head in box_heads:
                head.bias += 3  # type: ignore[operator]
            logits, offsets = network(torch.randn(1, 3, size, size))
        assert (logits == torch.tensor([2.0, 0, 0, 0])).all(), family
        assert (offsets == 3).all(), family


def test_statistics_of_few_cells_are_drawn_towards_the_layer_s() -> None:
    torch.manual_seed(1)
    offset = torch.linspace(-2, 2, 8).view(1, 8, 1, 1)
    many = torch.randn(2, 8, 200, 200) + offset
    mean, variance = _statistics(many)
    assert torch.allclose(mean, offset.flatten(), atol=0.05)
    assert torch.allclose(variance, torch.ones(8), atol=0.05)
    mean, variance = _statistics(many[:, :, :1, :1])
    assert mean.abs().max() < 0.1
    assert (variance > 1.5).all()


def test_what_the_weights_depend_on() -> None:
    recipe = Catalog().find("ultraface-slim-320").recipe
    pictures = [read_picture(package_file(reference)) for reference in EMBEDDED]

    def logits_bias(keep: int, images: Any) -> Any:
        rule = recipe.detections.model_copy(update={"keep": keep})
        network: Any = seeded_network("ultraface", {"variant": "slim"}, recipe.input, rule, 2, images)
        return network.classification_headers[0][2].bias.detach().numpy()

    first = logits_bias(200, pictures)
    np.testing.assert_array_equal(first, logits_bias(200, pictures))
    assert (logits_bias(20, pictures)[::2] > first[::2]).all()  # a higher background leaves fewer
    assert not np.array_equal(first, logits_bias(200, pictures[:1]))


@pytest.mark.parametrize("threshold", [0.0, 0.999])
def test_rules_that_filter_by_nothing_or_by_nearly_everything(threshold: float) -> None:
    recipe = Catalog().find("ultraface-slim-320").recipe
    rule = recipe.detections.model_copy(update={"score_threshold": threshold})
    picture = read_picture(package_file(EMBEDDED[1]))
    network = seeded_network("ultraface", {"variant": "slim"}, recipe.input, rule, 11, [picture])
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
