from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.catalog import Catalog
from ssdconvert.deployed import Deployed
from ssdconvert.detector import open_detector
from ssdconvert.devices import Machine
from ssdconvert.drawing import colour_of
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.model_facts import ModelFacts
from ssdconvert.original_given import finder_of, original_given
from ssdconvert.output_rows import Reading
from ssdconvert.outputs import STATIC, output_spec
from ssdconvert.report.comparison import differences
from ssdconvert.ssd.detections import Detections
from ssdconvert.stages.detect import Found, detect, detections_document, draw, in_words

DETECTIONS = Detections(
    np.array([[0.1, 0.2, 0.5, 0.9], [-0.2, 0.0, 1.3, 1.0]], np.float32),
    np.array([2, 1]),
    np.array([0.9, 0.8], np.float32),
)


def model_of(spec: Any) -> Deployed:
    nothing = ModelFacts(Path("m.xml"), (), (), {})
    return Deployed(nothing, ("cat", "dog"), spec, Reading("", (), lambda outputs: []))


def assert_alike(found: Detections, expected: Detections) -> None:
    """Hold two lists against each other in which NMS had to choose between boxes of the score 1."""
    both = differences(expected, found, 0.3)
    assert len(found) == pytest.approx(len(expected), abs=3)
    assert len(both.pairs) > 0.85 * len(expected) > 0
    assert np.median([iou for *_, iou in both.pairs]) > 0.9999


def test_boxes_are_pixels_of_the_picture_cut_at_its_edges(tiny_recipe: Any) -> None:
    first, second = in_words(
        DETECTIONS,
        model_of(tiny_recipe().input),
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
        model_of(recipe.input),
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
    below = drawn[round(box[3]) - 2 : round(box[3]) + 1, round(size[0] / 2)]
    assert (below == colour_of(1)).all(axis=1).any()
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
    model = open_detector(tiny.irs["FP16"]).model
    assert model.names == ("cat", "dog")
    own = tiny.recipe.input
    assert (model.input.name, model.input.shape, model.input.resize) == (own.name, own.shape, own.resize)
    assert model.input.color.model == own.color.converted
    assert not model.normalised
    assert model.fed == "fed as it says itself"


def test_the_detector_sees_what_the_gates_runner_sees(tiny: Any) -> None:
    """The picture goes in as u8, turned into the model's input by OpenVINO: not a bit is lost."""
    from ssdconvert.runners.openvino_runner import OpenvinoRunner
    from ssdconvert.ssd.preprocess import converted_input

    detector = open_detector(tiny.irs["FP32"])
    runner = OpenvinoRunner(tiny.irs["FP32"])
    for picture in tiny.pictures:
        outputs = runner.run({tiny.recipe.input.name: converted_input(picture.pixels, tiny.recipe.input)})
        expected = STATIC.read(outputs, output_spec(tiny.recipe))
        found = detector.rows(picture.pixels).detections(1, (1, 1))
        assert len(expected)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_the_exported_graph_by_the_recipe_sees_the_same(tiny: Any) -> None:
    """An .onnx takes what the original takes: mean and scale outside, the model's channel order."""
    detector = open_detector(tiny.simplified, tiny.recipe)
    assert detector.model.normalised
    for picture in tiny.pictures:
        found = detector.rows(picture.pixels)
        expected = open_detector(tiny.irs["FP32"]).rows(picture.pixels)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_raw_heads_by_the_recipe(tiny: Any) -> None:
    """The graph before its tail: the recipe says what offsets mean, and how they are suppressed."""
    import onnx
    from onnx.utils import Extractor

    path = tiny.exported.parent / "heads.onnx"
    graph = onnx.load(tiny.exported)
    heads = Extractor(graph).extract_model([tiny.recipe.input.name], list(tiny.original.heads.names))
    onnx.save(heads, path)
    detector = open_detector(path, tiny.recipe)
    assert "raw heads class_logits" in detector.model.reading.told
    for picture in tiny.pictures:
        found = detector.rows(picture.pixels).detections(1, (1, 1))
        expected = open_detector(tiny.irs["FP32"]).rows(picture.pixels).detections(1, (1, 1))
        assert_alike(found, expected)


def test_another_recipe_than_its_own_is_not_used(tiny: Any, tiny_recipe: Any) -> None:
    other = tiny_recipe(name="other", detections__labels=["bird", "fish"])
    model = open_detector(tiny.irs["FP32"], other).model
    assert model.names == ("cat", "dog")
    assert any("says that it is tiny: the recipe other is not used" in told for told in model.warnings)


def test_a_checkpoint_is_an_original_to_compare_with(tiny: Any) -> None:
    finder, names, told = original_given(str(tiny.checkpoint), Catalog(), tiny.recipe, Machine())
    assert names == ("cat", "dog")
    assert told.startswith(f"{tiny.checkpoint} in torch")
    ours = finder_of(open_detector(tiny.irs["FP32"]))
    for picture in tiny.pictures:
        expected, found = finder(picture.pixels), ours(picture.pixels)
        assert_alike(found, expected)
    with pytest.raises(RecipeError, match="nothing says what"):
        original_given(str(tiny.checkpoint), Catalog(), None, Machine())


def test_an_onnx_original_runs_in_onnx_runtime(tiny: Any) -> None:
    finder, _, told = original_given(str(tiny.simplified), Catalog(), tiny.recipe, Machine())
    assert told == f"{tiny.simplified} in ONNX Runtime"
    found = finder(tiny.pictures[0].pixels)
    expected = finder_of(open_detector(tiny.irs["FP32"]))(tiny.pictures[0].pixels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_a_file_that_is_no_ir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text("<net/>")
    with pytest.raises(ConversionError, match=r"m\.bin does not exist"):
        open_detector(tmp_path / "m.xml")
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(ConversionError, match=r"m\.xml cannot be read"):
        open_detector(tmp_path / "m.xml")
    (tmp_path / "m.onnx").write_bytes(b"no onnx")
    with pytest.raises(ConversionError, match=r"m\.onnx cannot be read"):
        open_detector(tmp_path / "m.onnx")
