"""SSD300 with ResNet-50, against the numbers that are known of NVIDIA's."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.networks.ssd300_resnet50 import DEFAULTS_PER_CELL, GRIDS, SSD300ResNet50, build

PARAMETERS = 22_894_902
NORM = ("bias", "num_batches_tracked", "running_mean", "running_var", "weight")
STARTS = (0, 5776, 7942, 8542, 8692, 8728)  # of the levels


@pytest.fixture(scope="module")
def described() -> SSD300ResNet50:
    with torch.device("meta"):
        return SSD300ResNet50().eval()


@pytest.fixture(scope="module")
def network(seeded: Any) -> Any:
    return seeded(SSD300ResNet50(classes=5))


def test_parameters(described: SSD300ResNet50) -> None:
    assert sum(parameter.numel() for parameter in described.parameters()) == PARAMETERS


def norm(prefix: str) -> set[str]:
    return {f"{prefix}.{name}" for name in NORM}


def test_keys_are_those_of_the_published_checkpoint(described: SSD300ResNet50) -> None:
    backbone = "feature_extractor.feature_extractor"
    expected = {f"{backbone}.0.weight"} | norm(f"{backbone}.1")
    for stage, blocks in ((4, 3), (5, 4), (6, 6)):
        for block in range(blocks):
            for layer in (1, 2, 3):
                expected |= {f"{backbone}.{stage}.{block}.conv{layer}.weight"}
                expected |= norm(f"{backbone}.{stage}.{block}.bn{layer}")
        expected |= {f"{backbone}.{stage}.0.downsample.0.weight"} | norm(f"{backbone}.{stage}.0.downsample.1")
    for block in range(5):
        for layer in (0, 3):
            expected |= {f"additional_blocks.{block}.{layer}.weight"}
            expected |= norm(f"additional_blocks.{block}.{layer + 1}")
    for kind in ("weight", "bias"):
        expected |= {f"{head}.{index}.{kind}" for head in ("loc", "conf") for index in range(6)}
    assert set(described.state_dict()) == expected


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("feature_extractor.feature_extractor.0.weight", (64, 3, 7, 7)),
        ("feature_extractor.feature_extractor.6.0.downsample.0.weight", (1024, 512, 1, 1)),
        ("feature_extractor.feature_extractor.6.5.conv2.weight", (256, 256, 3, 3)),
        ("additional_blocks.0.0.weight", (256, 1024, 1, 1)),
        ("additional_blocks.0.3.weight", (512, 256, 3, 3)),
        ("additional_blocks.2.0.weight", (128, 512, 1, 1)),
        ("additional_blocks.4.3.weight", (256, 128, 3, 3)),
        ("loc.0.weight", (16, 1024, 3, 3)),
        ("conf.1.weight", (486, 512, 3, 3)),
        ("conf.5.bias", (324,)),
    ],
)
def test_shapes_are_those_of_the_published_checkpoint(
    described: SSD300ResNet50, key: str, shape: tuple[int, ...]
) -> None:
    assert tuple(described.state_dict()[key].shape) == shape


def test_outputs(network: Any) -> None:
    with torch.no_grad():
        logits, offsets = network(torch.zeros(2, 3, 300, 300))
    assert logits.shape == (2, 8732, 5)
    assert offsets.shape == (2, 8732, 4)
    assert network.default_boxes().shape == (8732, 4)
    assert (network.variances, network.largest_size_offset) == ((0.1, 0.2), None)


def test_the_backbone_is_torchvision_s_with_conv4_at_stride_1(
    torchvision: Any, network: Any, same: Any
) -> None:
    theirs = torch.nn.Sequential(*list(torchvision.models.resnet50(weights=None).children())[:7])
    first: Any = theirs[6][0]
    first.conv1.stride = first.conv2.stride = first.downsample[0].stride = (1, 1)
    theirs.load_state_dict(network.feature_extractor.feature_extractor.state_dict())
    image = torch.randn(1, 3, 300, 300, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        same(network.feature_extractor(image), theirs.eval()(image))


def test_extra_blocks_and_heads_by_hand(network: Any, same: Any) -> None:
    """The maps behind the backbone and the heads' layout, written out with functions alone."""
    functional, state = torch.nn.functional, network.state_dict()
    x = first = torch.rand(1, 1024, 38, 38, generator=torch.Generator().manual_seed(3))
    locations, classes = [], []

    def convolved(x: Any, key: str, stride: int, padding: int) -> Any:
        return functional.conv2d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), stride, padding)

    def normalised(x: Any, key: str) -> Any:
        mean, variance, weight, bias = (
            state[f"{key}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.relu(functional.batch_norm(x, mean, variance, weight, bias, eps=1e-5))

    for level, side in enumerate((38, 19, 10, 5, 3, 1)):
        if level:
            block = f"additional_blocks.{level - 1}"
            stride, padding = (2, 1) if level <= 3 else (1, 0)
            x = normalised(convolved(x, f"{block}.0", 1, 0), f"{block}.1")
            x = normalised(convolved(x, f"{block}.3", stride, padding), f"{block}.4")
        assert x.shape[2:] == (side, side)
        locations.append(convolved(x, f"loc.{level}", 1, 1).view(1, 4, -1))
        classes.append(convolved(x, f"conf.{level}", 1, 1).view(1, 5, -1))
    headless = copy.copy(network)
    headless._modules = {**network._modules, "feature_extractor": torch.nn.Identity()}
    with torch.no_grad():
        logits, offsets = headless(first)
    same(offsets, torch.cat(locations, 2).transpose(1, 2))
    same(logits, torch.cat(classes, 2).transpose(1, 2))


@pytest.mark.parametrize("level", range(6))
def test_a_prediction_is_at_its_default_box(level: int) -> None:
    """Channel = coordinate * A + size, then rows and columns: so the boxes are size-major."""
    sizes, grid = DEFAULTS_PER_CELL[level], GRIDS[level]
    size, coordinate = sizes - 1, 3
    row, column = grid // 2, grid - 1
    with torch.device("meta"):
        network: Any = SSD300ResNet50(classes=2)
    maps = [torch.zeros(1, 1, side, side) for side in GRIDS]
    maps[level][0, 0, row, column] = 1
    for index, (defaults, m) in enumerate(zip(DEFAULTS_PER_CELL, maps, strict=True)):
        network.loc[index] = torch.nn.Conv2d(1, 4 * defaults, 1, bias=False)
        network.conf[index] = torch.nn.Conv2d(1, 2 * defaults, 1, bias=False)
        torch.nn.init.zeros_(network.loc[index].weight)
        torch.nn.init.zeros_(network.conf[index].weight)
        if index:
            network.additional_blocks[index - 1] = Constant(m)
    network.feature_extractor = Constant(maps[0])
    with torch.no_grad():
        network.loc[level].weight[coordinate * sizes + size] = 1
        _, offsets = network(torch.zeros(1))
    ((_, found, which),) = torch.nonzero(offsets).tolist()
    assert which == coordinate
    assert found == STARTS[level] + size * grid * grid + row * grid + column
    divisor = (37.5, 18.75, 9.375, 4.6875, 3, 1)[level]
    expected = np.minimum([(column + 0.5) / divisor, (row + 0.5) / divisor], 1)
    np.testing.assert_allclose(network.default_boxes()[found, :2], expected, rtol=1e-6)


class Constant(torch.nn.Module):
    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.value


@pytest.mark.parametrize(("height", "width"), [(300, 301), (512, 512), (38, 38)])
def test_another_size_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"input of 300x300, got {width}x{height}"):
        build(height, width, classes=81)
