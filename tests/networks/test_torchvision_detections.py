"""From heads to detections: ours against torchvision's own post-processing, with the shipped rules."""

from typing import Any

import numpy as np
import pytest
import torch

from ssdconvert.catalog import Catalog
from ssdconvert.labels import COCO_91
from ssdconvert.networks import build_network
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import BoxCoding, Heads

NETWORKS = {"ssd300-vgg16": "ssd300_vgg16", "ssdlite320-mobilenet-v3": "ssdlite320_mobilenet_v3_large"}
CLASSES = 91


def plain_nms(boxes: Any, scores: Any, labels: Any, threshold: float) -> Any:
    """Stand in for `batched_nms`, whose operator is missing: indices kept, best first, `>` suppresses."""
    kept: list[int] = []
    for index in torch.argsort(-scores, stable=True).tolist():
        rivals = [other for other in kept if labels[other] == labels[index]]
        low = torch.maximum(boxes[rivals, :2], boxes[index, :2])
        sides = (torch.minimum(boxes[rivals, 2:], boxes[index, 2:]) - low).clamp(min=0)
        shared = sides[:, 0] * sides[:, 1]
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        if not (shared / (areas[rivals] + areas[index] - shared) > threshold).any():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64)


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request: pytest.FixtureRequest, torchvision: Any) -> tuple[Any, Any]:
    """A shipped recipe and torchvision's network."""
    build = getattr(torchvision.models.detection, NETWORKS[request.param])
    return Catalog().find(request.param).recipe, build(weights=None, weights_backbone=None).eval()


def random_heads(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits with 700 candidates close together, and offsets that leave the picture and pass the limit."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, count, CLASSES, generator=generator)
    logits[..., 0] += 18
    best = count // 2 + torch.arange(700)
    labels = torch.where(best % 5 == 0, 90, 1)
    logits[0, best, labels] += 18 + torch.randn(700, generator=generator)
    offsets = torch.randn(1, count, 4, generator=generator)
    offsets[..., 2:] += 5  # boxes so large that NMS drops most
    offsets[0, best[::10]] *= 8
    offsets[0, best[5::50], 2:] = 40.0
    return logits, offsets


def theirs(network: Any, torchvision: Any, size: int, logits: Any, offsets: Any, grids: Any) -> Detections:
    """Return torchvision's detections, boxes in 0..1."""
    images = torchvision.models.detection.image_list.ImageList(torch.zeros(1, 3, size, size), [(size, size)])
    anchors = network.anchor_generator(images, [torch.zeros(1, 1, grid, grid) for grid in grids])
    heads = {"cls_logits": logits, "bbox_regression": offsets}
    (found,) = network.postprocess_detections(heads, anchors, images.image_sizes)
    return Detections(found["boxes"].numpy() / size, found["labels"].numpy(), found["scores"].numpy())


def test_the_recipe_s_rule_is_torchvision_s(pair: tuple[Any, Any]) -> None:
    recipe, network = pair
    rule = recipe.detections
    assert (rule.score_threshold, rule.iou_threshold) == (network.score_thresh, network.nms_thresh)
    assert (rule.per_class, rule.keep) == (network.topk_candidates, network.detections_per_img)
    assert (rule.at_iou_threshold, rule.clip) == ("keep", True)
    assert recipe.input.shape[2:] == network.transform.fixed_size
    np.testing.assert_allclose(recipe.input.mean, np.array(network.transform.image_mean) * 255)
    np.testing.assert_allclose(recipe.input.scale, np.array(network.transform.image_std) * 255)


@pytest.mark.parametrize("seed", range(3))
def test_detections_are_torchvision_s(
    pair: tuple[Any, Any], torchvision: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(torchvision.ops.boxes, "batched_nms", plain_nms)
    recipe, network = pair
    size = recipe.input.shape[2]
    ours: Any = build_network(recipe.source.network, size, size, CLASSES, {})
    boxes = ours.default_boxes()
    heads = Heads(
        BoxCoding(boxes, ours.variances, ours.largest_size_offset), recipe.detections.clip, logits=True
    )
    logits, offsets = random_heads(len(boxes), seed)
    decoded = heads.decoded({heads.scores: logits.numpy(), heads.boxes: offsets.numpy()})
    found = detections_of(*decoded, recipe.detections)
    grids = (38, 19, 10, 5, 3, 1) if size == 300 else (20, 10, 5, 3, 2, 1)
    expected = theirs(network, torchvision, size, logits, offsets, grids)
    assert set(expected.labels) == {1, 90}
    assert (expected.boxes == 0).any()
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-5)
    for change in ({"per_class": 10_000}, {"iou_threshold": 0.5}):  # each of them says something here
        other = detections_of(*decoded, recipe.detections.model_copy(update=change))
        assert len(other) != len(found) or (other.labels != found.labels).any(), change


def test_labels_are_torchvision_s(torchvision: Any) -> None:
    weights = torchvision.models.detection.SSD300_VGG16_Weights.COCO_V1
    assert ("__background__", *COCO_91) == tuple(weights.meta["categories"])
