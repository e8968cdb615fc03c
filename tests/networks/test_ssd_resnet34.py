"""SSD-ResNet34, against the numbers that are known of MLPerf's."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ssdconvert.networks.ssd_resnet34 import (
    DEFAULTS_PER_CELL,
    SSDResNet34,
    build,
    grids_of,
    smallest_input,
)

PARAMETERS = 19_972_534
NORM = ("bias", "num_batches_tracked", "running_mean", "running_var", "weight")


@pytest.fixture(scope="module")
def full() -> SSDResNet34:
    with torch.device("meta"):
        return SSDResNet34().eval()


def small(size: int = 400, classes: int = 6) -> Any:
    torch.manual_seed(1)
    return SSDResNet34(size, classes, 1 / 16).eval()


def test_parameters(full: SSDResNet34) -> None:
    assert sum(parameter.numel() for parameter in full.parameters()) == PARAMETERS


def test_outputs_grids_and_operations_at_1200(full: SSDResNet34) -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits, offsets = full(torch.zeros(1, 3, 1200, 1200, device="meta"))
    assert logits.shape == (1, 15130, 81)
    assert offsets.shape == (1, 15130, 4)
    assert counter.get_total_flops() / 1e9 == pytest.approx(432.8, abs=0.05)
    assert full.grids == [50, 25, 13, 7, 3, 3]


def test_default_boxes_at_1200(full: SSDResNet34) -> None:
    boxes = full.default_boxes()
    assert boxes.shape == (15130, 4)
    np.testing.assert_allclose(boxes[0], [0.01, 0.01, 0.07, 0.07], rtol=1e-6)
    np.testing.assert_allclose(boxes[-1, :3], [5 / 6, 5 / 6, 0.87 / np.sqrt(2)], rtol=1e-6)


def norm(prefix: str) -> set[str]:
    return {f"{prefix}.{name}" for name in NORM}


def block(prefix: str, downsample: bool) -> set[str]:
    keys = (
        {f"{prefix}.conv1.weight", f"{prefix}.conv2.weight"} | norm(f"{prefix}.bn1") | norm(f"{prefix}.bn2")
    )
    if downsample:
        keys |= {f"{prefix}.downsample.0.weight"} | norm(f"{prefix}.downsample.1")
    return keys


def test_keys_are_those_of_the_published_checkpoint(full: SSDResNet34) -> None:
    expected = {"model.layer1.0.weight"} | norm("model.layer1.1")
    for index in range(3):
        expected |= block(f"model.layer1.4.{index}", False)
    for index in range(4):
        expected |= block(f"model.layer1.5.{index}", index == 0)
    for index in range(6):
        expected |= block(f"model.layer2.0.{index}", index == 0)
    for kind in ("weight", "bias"):
        expected |= {f"additional_blocks.{block}.{layer}.{kind}" for block in range(5) for layer in (0, 2)}
        expected |= {f"{head}.{index}.{kind}" for head in ("loc", "conf") for index in range(6)}
    assert set(full.state_dict()) == expected


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("model.layer1.0.weight", (64, 3, 7, 7)),
        ("model.layer1.5.0.downsample.0.weight", (128, 64, 1, 1)),
        ("model.layer2.0.5.conv2.weight", (256, 256, 3, 3)),
        ("additional_blocks.0.2.weight", (512, 256, 3, 3)),
        ("additional_blocks.1.0.weight", (256, 512, 1, 1)),
        ("additional_blocks.2.0.weight", (128, 512, 1, 1)),
        ("additional_blocks.4.2.weight", (256, 128, 3, 3)),
        ("loc.0.weight", (16, 256, 3, 3)),
        ("conf.1.weight", (486, 512, 3, 3)),
        ("conf.5.bias", (324,)),
    ],
)
def test_shapes_are_those_of_the_published_checkpoint(
    full: SSDResNet34, key: str, shape: tuple[int, ...]
) -> None:
    assert tuple(full.state_dict()[key].shape) == shape


def test_strides_and_padding(full: Any) -> None:
    """They are no part of a state_dict, and conv4_x differs from torchvision's here."""
    heads = [*full.loc, *full.conf]
    assert {(head.stride, head.padding) for head in heads} == {((3, 3), (1, 1))}
    blocks = [(block[2].stride[0], block[2].padding[0]) for block in full.additional_blocks]
    assert blocks == [(2, 1), (2, 1), (2, 1), (2, 0), (1, 0)]
    assert full.model.layer2[0][0].conv1.stride == (1, 1)
    assert full.model.layer2[0][0].downsample[0].stride == (1, 1)
    assert {m.eps for m in full.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-5}


def test_the_backbone_is_torchvision_s_with_conv4_at_stride_1(
    torchvision: Any, seeded: Any, same: Any
) -> None:
    ours: Any = seeded(SSDResNet34(400, 6)).model
    theirs = torch.nn.Sequential(*list(torchvision.models.resnet34(weights=None).children())[:7])
    for block in theirs[6]:  # type: ignore[union-attr]
        block.conv1.stride = (1, 1)
        if block.downsample is not None:
            block.downsample[0].stride = (1, 1)
    state = {
        key.removeprefix("layer1.").replace("layer2.0.", "6."): value
        for key, value in ours.state_dict().items()
    }
    theirs.load_state_dict(state)
    image = torch.randn(1, 3, 400, 400, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        same(ours(image), theirs.eval()(image))


def test_outputs_of_a_small_network() -> None:
    network = small()
    with torch.no_grad():
        logits, offsets = network(torch.zeros(2, 3, 400, 400))
    count = sum(grid * grid * sizes for grid, sizes in zip(network.grids, DEFAULTS_PER_CELL, strict=True))
    assert logits.shape == (2, count, 6)
    assert offsets.shape == (2, count, 4)
    assert network.default_boxes().shape == (count, 4)
    assert network.variances == (0.1, 0.2)


@pytest.mark.parametrize("level", range(6))
def test_heads_are_coordinate_major(level: int) -> None:
    """Channel = coordinate * A + size, and then rows and columns: so the boxes are size-major."""
    network = small()
    for head in (*network.loc, *network.conf):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    sizes, cells = DEFAULTS_PER_CELL[level], network.grids[level] ** 2
    start = sum(g * g * s for g, s in zip(network.grids[:level], DEFAULTS_PER_CELL[:level], strict=True))
    size, coordinate, label = sizes - 1, 2, 4
    with torch.no_grad():
        network.loc[level].bias[coordinate * sizes + size] = 1
        network.conf[level].bias[label * sizes + size] = 2
        logits, offsets = network(torch.zeros(1, 3, 400, 400))
    expected = torch.zeros_like(offsets), torch.zeros_like(logits)
    rows = slice(start + size * cells, start + (size + 1) * cells)
    expected[0][0, rows, coordinate] = 1
    expected[1][0, rows, label] = 2
    assert torch.equal(offsets, expected[0])
    assert torch.equal(logits, expected[1])
    own = network.default_boxes()[rows]  # all of one size, one at each cell
    assert np.ptp(own[:, 2:], axis=0).tolist() == [0, 0]
    assert len(np.unique(own[:, :2], axis=0)) == cells


def test_a_prediction_is_at_its_default_box() -> None:
    """What a head sees at row 2, column 5 must come out at the box with that centre."""
    network = small()
    maps = torch.zeros(1, network.loc[0].in_channels, 50, 50)
    maps[0, 0, 3 * 2, 3 * 5] = 1  # stride 3, padding 1: the middle of the kernel
    head = network.loc[0]
    with torch.no_grad():
        torch.nn.init.zeros_(head.bias)
        torch.nn.init.zeros_(head.weight)
        head.weight[0, 0, 1, 1] = 1  # coordinate 0, size 0
        found = head(maps).reshape(4, -1)[0].argmax().item()
    grid = network.grids[0]
    np.testing.assert_allclose(network.default_boxes()[found, :2], [5.5 / grid, 2.5 / grid], rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "grids"), [(1200, [50, 25, 13, 7, 3, 3]), (400, [17, 9, 5, 3, 1, 1]), (385, [17, 9, 5, 3, 1, 1])]
)
def test_grids(size: int, grids: list[int]) -> None:
    assert grids_of(size) == grids


def test_the_smallest_input_works_and_one_below_it_is_refused() -> None:
    assert smallest_input() == 385
    network = small(385)
    with torch.no_grad():
        logits, _ = network(torch.zeros(1, 3, 385, 385))
    assert logits.shape[1] == len(network.default_boxes())
    with pytest.raises(ValueError, match=re.escape("at least 385 pixels, got 384")):
        small(384)


def test_build() -> None:
    network: Any = build(400, 400, classes=7, channel_multiplier=0.125)
    assert (network.image_size, network.classes) == (400, 7)
    assert network.loc[0].in_channels == 32
    with pytest.raises(ValueError, match="square input, got 640x400"):
        build(400, 640, classes=7)
