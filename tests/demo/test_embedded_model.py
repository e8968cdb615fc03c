"""The embedded checkpoint: its container, its size, and the accuracy that its recipe promises."""

import pytest

from ssdconvert.catalog import Catalog
from ssdconvert.checkpoint import load_state_dict
from ssdconvert.demo.evaluate import evaluate
from ssdconvert.resources import package_file

CHECKPOINT = package_file("package:demo/ssd-demo.pytorch")


def test_it_has_the_container_of_the_flagship() -> None:
    checkpoint = load_state_dict(CHECKPOINT)
    assert (checkpoint.container, checkpoint.form) == ("legacy", "module")
    content = CHECKPOINT.read_bytes()
    for name in (b"models.ssd_r34", b"models.base_model_r34", b"torchvision.models.resnet", b"cuda:0"):
        assert name in content
    assert len(content) <= 2_000_000


def test_its_accuracy_is_the_recipes() -> None:
    """On 60 of the 200 pictures; `python -m ssdconvert.demo.evaluate` gives the whole figure."""
    promised = {entry.metric: entry.value for entry in Catalog().find("ssd-demo").recipe.accuracy}
    assert promised["coco-map"] >= 0.60
    assert promised["coco-ap50"] >= 0.95
    measured = evaluate(CHECKPOINT, count=60, seed=1)
    assert measured.ap == pytest.approx(promised["coco-map"], abs=0.05)
    assert measured.ap50 == pytest.approx(promised["coco-ap50"], abs=0.03)
