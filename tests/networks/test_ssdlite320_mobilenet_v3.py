"""SSDlite320 with MobileNetV3, against torchvision's own with the same weights."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.networks.ssdlite320_mobilenet_v3 import SSDlite320MobileNetV3, build

PARAMETERS = 3_440_060


@pytest.fixture(scope="module")
def network(seeded: Any) -> Any:
    return seeded(SSDlite320MobileNetV3(classes=7))


@pytest.fixture(scope="module")
def theirs(torchvision: Any, network: Any) -> Any:
    reference = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=7
    )
    reference.load_state_dict(network.state_dict())  # strict: the same keys and shapes
    return reference.eval()


def test_parameters_and_entries() -> None:
    with torch.device("meta"):
        network = SSDlite320MobileNetV3()
    state = network.state_dict()
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS
    shapes = {
        "backbone.features.0.0.0.weight": (16, 3, 3, 3),
        "backbone.features.0.13.0.weight": (672, 112, 1, 1),  # the first map: C4's expansion
        "backbone.features.1.0.1.0.weight": (672, 1, 5, 5),  # C4 goes on under its own indices
        "backbone.features.1.0.2.fc1.weight": (168, 672, 1, 1),
        "backbone.features.1.0.3.1.weight": (80,),
        "backbone.features.1.3.0.weight": (480, 80, 1, 1),
        "backbone.extra.0.1.0.weight": (256, 1, 3, 3),
        "head.classification_head.module_list.0.0.0.weight": (672, 1, 3, 3),
        "head.classification_head.module_list.0.1.weight": (546, 672, 1, 1),
        "head.regression_head.module_list.5.1.bias": (24,),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {0.001}


def test_heads_are_torchvision_s(network: Any, theirs: Any, same: Any) -> None:
    image = torch.randn(2, 3, 320, 320, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        logits, offsets = network(image)
        expected = theirs.head(list(theirs.backbone(image).values()))
    assert logits.shape == (2, 3234, 7)
    same(logits, expected["cls_logits"])
    same(offsets, expected["bbox_regression"])


def test_default_boxes_are_torchvision_s(network: Any, theirs: Any) -> None:
    boxes = theirs.anchor_generator._grid_default_boxes([[s, s] for s in (20, 10, 5, 3, 2, 1)], [320, 320])
    np.testing.assert_array_equal(network.default_boxes(), boxes.numpy())
    assert boxes.shape == (3234, 4)


def test_coding_is_torchvision_s(network: Any, theirs: Any) -> None:
    coder = theirs.box_coder
    assert coder.weights == tuple(1 / variance for variance in np.repeat(network.variances, 2))
    assert network.largest_size_offset == coder.bbox_xform_clip == math.log(1000 / 16)


@pytest.mark.parametrize(("height", "width"), [(320, 321), (300, 300)])
def test_another_size_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"input of 320x320, got {width}x{height}"):
        build(height, width, classes=91)
