"""Whether heads are what a recipe says: offsets are no corners."""

from typing import Any

import numpy as np
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.originals import Original
from ssdconvert.originals.fit import fitted
from ssdconvert.recipe import load_recipe
from ssdconvert.ssd.boxes import to_corners
from ssdconvert.ssd.heads import BoxCoding, Heads, HeadTensor

PLACES = 32
CENTRES = np.random.default_rng(1).uniform(0.2, 0.4, (PLACES, 4)).astype(np.float32)
OFFSETS = np.random.default_rng(2).normal(0, 1, (1, PLACES, 4)).astype(np.float32)


def judged(recipe: Any, boxes: Any, scores: Any = None, coded: bool = True) -> Original:
    heads = Heads(BoxCoding(CENTRES, (0.1, 0.2)) if coded else None)
    tensors = {heads.scores: HeadTensor("s"), heads.boxes: HeadTensor("b")}
    scores = np.zeros((1, PLACES, 4), np.float32) if scores is None else scores
    original = Original(heads, 0, None, None, tensors)  # type: ignore[arg-type]
    return fitted(recipe, original, "m.onnx", {"s": scores, "b": boxes})


@pytest.fixture
def recipe(recipe_file: Any, documents: Any) -> Any:
    return load_recipe(recipe_file(documents["onnx"]))  # three classes


def test_what_fits(recipe: Any) -> None:
    assert judged(recipe, OFFSETS).default_boxes == PLACES
    assert judged(recipe, to_corners(CENTRES)[None], coded=False).default_boxes == PLACES
    assert judged(recipe, np.zeros_like(OFFSETS)).default_boxes == PLACES  # a head that was not run


def test_corners_are_no_offsets(recipe: Any) -> None:
    with pytest.raises(ConversionError, match="decoded already") as caught:
        judged(recipe, to_corners(CENTRES)[None])
    assert "default_boxes" in caught.value.hint


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        ((1, PLACES, 5), (1, PLACES, 4)),
        ((1, PLACES), (1, PLACES, 4)),
        ((2, PLACES, 4), (2, PLACES, 4)),
        ((1, PLACES, 4), (1, PLACES, 3)),
        ((1, PLACES, 4), (1, PLACES + 1, 4)),
        ((1, PLACES - 1, 4), (1, PLACES - 1, 4)),
        ((), ()),
    ],
)
def test_other_shapes_are_refused(recipe: Any, boxes: Any, scores: Any) -> None:
    with pytest.raises(ConversionError, match=r"expected 's' \[1, 32, 4\] and 'b' \[1, 32, 4\]") as caught:
        judged(recipe, np.zeros(boxes, np.float32), np.zeros(scores, np.float32))
    assert caught.value.message.startswith("m.onnx has the heads")
