"""The tiny model in 8 bits: what is quantised, what that costs, what goes back when it costs too much."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.detector import open_detector
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.ir_contract import weight_types
from ssdconvert.ir_file import read_ir
from ssdconvert.pictures import read_picture
from ssdconvert.quantisation import post_training
from ssdconvert.quantisation.calibration import CalibrationSet, opened
from ssdconvert.quantisation.cost import Cost, digests_of
from ssdconvert.quantisation.options import CalibrationOptions
from ssdconvert.stages.quantize import quantize

SOURCES = {"tiny.pth": "0" * 64}


@pytest.fixture(scope="module")
def folder(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures, and as annotations what the FP32 IR finds in them."""
    folder = tmp_path_factory.mktemp("calibration")
    (folder / "images").mkdir()
    random, images, annotations = np.random.default_rng(8), [], []
    detector = open_detector(tiny.irs["FP32"])
    for number in range(1, 9):
        small = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        path = folder / "images" / f"{number}.png"
        small.resize((64, 48), Image.Resampling.BICUBIC).save(path)
        images.append({"id": number, "file_name": path.name, "width": 64, "height": 48})
        found = detector.rows(read_picture(path)).detections(1, (1, 1)).above(0.3)
        for box, label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True):
            x, y, w, h = box[0] * 64, box[1] * 48, (box[2] - box[0]) * 64, (box[3] - box[1]) * 48
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label, "bbox": [x, y, w, h],
                 "area": w * h, "iscrowd": 0}
            )  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def calibration(folder: Path, tiny: Any) -> Iterator[CalibrationSet]:
    with opened(str(folder / "images"), CalibrationOptions(), tiny.recipe) as calibration:
        yield calibration


def made(tiny: Any, target: Path, calibration: CalibrationSet, **options: Any) -> Cost:
    options = {"samples": 8, **options}
    return quantize(
        tiny.recipe,
        tiny.original,
        tiny.irs["FP32"],
        target,
        calibration,
        CalibrationOptions(**options),
        SOURCES,
    )


def test_the_network_is_quantised_and_what_follows_it_is_not(
    tiny: Any, tmp_path: Path, calibration: CalibrationSet
) -> None:
    cost = made(tiny, tmp_path / "INT8" / "tiny.xml", calibration)
    model = read_ir(tmp_path / "INT8" / "tiny.xml")
    types = weight_types(model)
    assert types["i8"] + types["u8"] > 0.5 * sum(types.values())
    quantised = [node for node in model.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    behind = {
        reader.get_node().get_type_name()
        for node in quantised
        for reader in node.output(0).get_target_inputs()
    }
    assert quantised
    assert behind <= {"Convolution", "GroupConvolution", "Add", "Concat", "MaxPool"}
    assert cost.sha256 == digests_of(tmp_path / "INT8" / "tiny.xml")
    assert (cost.reference, cost.pictures, cost.samples, cost.scheme) == (1.0, 8, 8, "mixed, plain")
    assert {path.name for path in tmp_path.rglob("*")} == {"INT8", "tiny.xml", "tiny.bin"}


def test_two_runs_give_the_same_bytes(tiny: Any, tmp_path: Path, calibration: CalibrationSet) -> None:
    first = made(tiny, tmp_path / "a" / "tiny.xml", calibration)
    assert made(tiny, tmp_path / "b" / "tiny.xml", calibration) == first


@pytest.mark.slow  # biases are corrected once more for each number of layers
def test_layers_go_back_to_floating_point_when_it_costs_too_much(
    tiny: Any, tmp_path: Path, folder: Path
) -> None:
    options = CalibrationOptions(samples=8)
    with opened(str(folder / "annotations.json"), options, tiny.recipe) as calibration:
        plain = made(tiny, tmp_path / "plain" / "tiny.xml", calibration, max_drop=100.0)
        assert plain.drop > 1, "quantising costs nothing here: the test shows nothing"
        controlled = made(tiny, tmp_path / "kept" / "tiny.xml", calibration, max_drop=0.75 * plain.drop)
    assert plain.left_in_float == ()
    assert controlled.left_in_float
    assert controlled.drop < plain.drop
    assert controlled.kept


def test_nothing_is_printed(
    tiny: Any, tmp_path: Path, calibration: CalibrationSet, capfd: pytest.CaptureFixture[str]
) -> None:
    made(tiny, tmp_path / "tiny.xml", calibration, preset="performance")
    assert capfd.readouterr().out == ""


def test_what_fails_in_nncf_is_an_expected_failure(
    tiny: Any, tmp_path: Path, calibration: CalibrationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    nncf = post_training._nncf()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(nncf, "quantize", broken)
    with pytest.raises(ConversionError, match="out of luck"):
        made(tiny, tmp_path / "tiny.xml", calibration)
    assert not list(tmp_path.iterdir())


def test_a_broken_picture_is_named(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cut.png").write_bytes(b"\x89PNG\r\n")
    with (
        opened(str(tmp_path / "pictures"), CalibrationOptions(), tiny.recipe) as calibration,
        pytest.raises(RecipeError, match=r"cut\.png cannot be read"),
    ):
        made(tiny, tmp_path / "tiny.xml", calibration)
