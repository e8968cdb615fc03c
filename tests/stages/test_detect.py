from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.outputs import OutputSpec
from ssdconvert.ssd.detections import Detections
from ssdconvert.stages.detect import (
    Deployed,
    Found,
    colour_of,
    deployed,
    detect,
    detections_document,
    draw,
    in_words,
)

DETECTIONS = Detections(
    np.array([[0.1, 0.2, 0.5, 0.9], [-0.2, 0.0, 1.3, 1.0]], np.float32),
    np.array([2, 1]),
    np.array([0.9, 0.8], np.float32),
)


def test_boxes_are_pixels_of_the_picture_cut_at_its_edges(tiny_recipe: Any) -> None:
    first, second = in_words(
        DETECTIONS,
        Deployed(("cat", "dog"), tiny_recipe().input, OutputSpec(3, 3)),
        np.zeros((100, 200, 3), np.uint8),
    )
    assert (first.label, first.name, first.score) == (2, "dog", pytest.approx(0.9))
    assert first.box == pytest.approx((20, 20, 100, 90), abs=1e-3)
    assert second.box == (0, 0, 200, 100)


def test_boxes_of_a_cropped_input_are_pixels_of_the_whole_picture(tiny_recipe: Any) -> None:
    """Of 300x100, an input of 64x48 shows 133.33 columns from 83.33 on."""
    recipe = tiny_recipe(input__resize__mode="crop")
    first, second = in_words(
        DETECTIONS,
        Deployed(("cat", "dog"), recipe.input, OutputSpec(3, 3)),
        np.zeros((100, 300, 3), np.uint8),
    )
    assert first.box == pytest.approx((83.333 + 13.333, 20, 83.333 + 66.667, 90), abs=2e-3)
    assert second.box == pytest.approx((83.333 - 26.667, 0, 83.333 + 173.333, 100), abs=2e-3)


def test_what_is_found_is_best_first_and_above_the_threshold(tiny: Any) -> None:
    found, device = detect(tiny.irs["FP32"], tiny.pictures[0].pixels, "CPU", 0.4)
    assert device == "CPU"
    scores = [detection.score for detection in found]
    assert scores == sorted(scores, reverse=True)
    assert scores
    assert min(scores) > 0.4


@pytest.mark.parametrize("size", [(40, 30), (640, 480), (2000, 300)])
def test_the_drawing_keeps_the_picture_and_shows_each_box(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)
    box = (size[0] * 0.25, size[1] * 0.25, size[0] * 0.75, size[1] * 0.75)
    draw(pixels, [Found(1, "a rather long name of a class", 0.97, box)], tmp_path / "o.png")
    drawn = np.asarray(Image.open(tmp_path / "o.png"))
    assert drawn.shape == pixels.shape
    assert (drawn[round(box[3]) - 1, round(size[0] / 2)] == colour_of(1)).all()
    assert (drawn[-1, 0] == 90).all()


def test_nothing_found_leaves_the_picture_as_it_was(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    draw(pixels, [], tmp_path / "o.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), pixels)


def test_the_document_has_the_promised_keys() -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    document = detections_document(
        "m.xml", "CPU", "p.jpg", pixels, None, [Found(1, "cat", 0.5, (0, 1, 2, 3))]
    )
    assert document == {
        "model": "m.xml",
        "device": "CPU",
        "image": "p.jpg",
        "size": [20, 10],
        "output": None,
        "detections": [{"label": 1, "name": "cat", "score": 0.5, "box": [0, 1, 2, 3]}],
    }


def test_an_ir_says_how_it_is_fed(tiny: Any) -> None:
    model = deployed(tiny.irs["FP16"])
    assert model.names == ("cat", "dog")
    own = tiny.recipe.input
    assert (model.input.name, model.input.shape, model.input.color, model.input.resize) == (
        own.name,
        own.shape,
        own.color,
        own.resize,
    )


def test_an_ir_of_somebody_else_is_refused(mirror: Path) -> None:
    foreign = mirror / "face-detection-retail-0004" / "FP16" / "face-detection-retail-0004.xml"
    with pytest.raises(RecipeError, match="does not say how it is fed"):
        deployed(foreign)


def test_a_file_that_is_no_ir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text("<net/>")
    with pytest.raises(ConversionError, match=r"m\.bin does not exist"):
        deployed(tmp_path / "m.xml")
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(ConversionError, match=r"m\.xml cannot be read"):
        deployed(tmp_path / "m.xml")
