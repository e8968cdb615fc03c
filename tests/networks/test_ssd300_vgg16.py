"""SSD300 with VGG-16, against torchvision's own with the same weights."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.networks.ssd300_vgg16 import SSD300VGG16, build

PARAMETERS = 35_641_826


@pytest.fixture(scope="module")
def network(seeded: Any) -> Any:
    return seeded(SSD300VGG16(classes=7))


@pytest.fixture(scope="module")
def theirs(torchvision: Any, network: Any) -> Any:
    reference = torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=7)
    reference.load_state_dict(network.state_dict())  # strict: the same keys and shapes
    return reference.eval()


def test_parameters_and_entries() -> None:
    with torch.device("meta"):
        state = SSD300VGG16().state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == PARAMETERS
    assert len(state) == 71
    convolutions = {0: (64, 3, 3, 3), 2: (64, 64, 3, 3), 5: (128, 64, 3, 3), 21: (512, 512, 3, 3)}
    for index, shape in convolutions.items():
        assert tuple(state[f"backbone.features.{index}.weight"].shape) == shape
    assert tuple(state["backbone.scale_weight"].shape) == (512,)
    assert tuple(state["backbone.extra.0.7.1.weight"].shape) == (1024, 512, 3, 3)
    assert tuple(state["backbone.extra.4.2.weight"].shape) == (256, 128, 3, 3)
    assert tuple(state["head.classification_head.module_list.1.weight"].shape) == (546, 1024, 3, 3)
    assert tuple(state["head.regression_head.module_list.5.bias"].shape) == (16,)


def test_heads_are_torchvision_s(network: Any, theirs: Any, same: Any) -> None:
    image = torch.randn(2, 3, 300, 300, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits, offsets = network(image)
        expected = theirs.head(list(theirs.backbone(image).values()))
    assert logits.shape == (2, 8732, 7)
    same(logits, expected["cls_logits"])
    same(offsets, expected["bbox_regression"])


def test_default_boxes_are_torchvision_s(network: Any, theirs: Any) -> None:
    boxes = theirs.anchor_generator._grid_default_boxes([[s, s] for s in (38, 19, 10, 5, 3, 1)], [300, 300])
    np.testing.assert_array_equal(network.default_boxes(), boxes.numpy())
    assert boxes.shape == (8732, 4)
    assert boxes[:, :2].max() > 1  # 9.5 / 9.375: centres are not clamped


def test_coding_is_torchvision_s(network: Any, theirs: Any) -> None:
    coder = theirs.box_coder
    assert coder.weights == tuple(1 / variance for variance in np.repeat(network.variances, 2))
    assert network.largest_size_offset == coder.bbox_xform_clip == math.log(1000 / 16)


@pytest.mark.parametrize(("height", "width"), [(300, 301), (512, 512)])
def test_another_size_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"input of 300x300, got {width}x{height}"):
        build(height, width, classes=91)
