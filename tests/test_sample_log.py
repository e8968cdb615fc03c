"""The old sample's log: its rules written out again, literally, against what we print; and pinned lines.

The reference below follows the last published sample line by line, but for three of its faults: rows after
image_id -1 are no detections, a name may stand for the label, and more than one output is read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.deployed import Feeding
from ssdconvert.detector import Detector, open_detector
from ssdconvert.label_files import LabelList
from ssdconvert.pictures import read_picture
from ssdconvert.sample_log import NOTICE, opening_lines, result_lines

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODELS = (
    "person-vehicle-bike-detection-2000",
    "person-vehicle-bike-detection-2004",
    "face-detection-retail-0004",
)
THREE = {"bboxes": np.tile(np.float32([0, 0, 1, 1]), (1, 3, 1)), "labels": np.array([[1, 2, 3]])}


def found_by_the_sample(compiled: Any, picture: Path) -> list[str]:
    """Return what the sample logs of a compiled model from the picture on, up to what it found."""
    import cv2

    net_h, net_w = compiled.input().shape[2:]
    original = cv2.imread(str(picture))
    image = original.copy()
    lines = []
    if image.shape[:-1] != (net_h, net_w):
        lines.append(f"[ WARNING ] Image {picture} is resized from {image.shape[:-1]} to {(net_h, net_w)}")
        image = cv2.resize(image, (net_w, net_h))
    image = np.expand_dims(image.transpose((2, 0, 1)), axis=0)
    lines.append("[ INFO ] Starting inference in synchronous mode")
    results = {min(port.get_names()): array for port, array in compiled(image.astype(np.float32)).items()}
    h, w, _ = original.shape
    if len(results) == 1:
        (rows,) = results.values()
        detections = rows.reshape(-1, 7)
    else:
        detections = results["boxes"]
        w, h = w / net_w, h / net_h
    for i, detection in enumerate(detections):
        if len(results) == 1:
            image_id, class_id, confidence, xmin, ymin, xmax, ymax = detection
            if image_id == -1:
                break
        else:
            class_id = results["labels"][i]
            xmin, ymin, xmax, ymax, confidence = detection
        if confidence > 0.5:
            # with numpy 1 a float32 by a Python int is a float64
            corners = [
                int(float(side) * scale)
                for side, scale in zip((xmin, ymin, xmax, ymax), (w, h, w, h), strict=True)
            ]
            lines.append(
                f"[ INFO ] Found: label = {int(class_id)}, confidence = {confidence:.2f}, "
                f"coords = ({corners[0]}, {corners[1]}), ({corners[2]}, {corners[3]})"
            )
    return lines


def ours(detector: Detector, picture: Path) -> list[str]:
    pixels = read_picture(picture)
    size = pixels.shape[0], pixels.shape[1]
    return result_lines(
        str(picture), size, detector.model, detector.rows(pixels), 0.5, Path("out.bmp"), False
    )


@pytest.mark.parametrize("name", MODELS)
def test_intels_models_log_what_the_sample_logged(mirror: Path, name: str) -> None:
    import openvino

    pictures = sorted((SHARED / "images").rglob("*.jpg"))
    if not pictures:
        pytest.skip("../shared/images is not there: photographs are needed")
    model = mirror / name / "FP16" / f"{name}.xml"
    detector = open_detector(model)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = 0
    for picture in pictures:
        *lines, created, notice, empty = ours(detector, picture)
        assert lines == found_by_the_sample(compiled, picture)
        assert (created, notice, empty) == ("[ INFO ] Image out.bmp created!", f"[ INFO ] {NOTICE}", "")
        found += sum("Found: label" in line for line in lines)
    assert found >= {"person-vehicle-bike-detection-2004": 2}.get(name, 5)


GOLDEN = {
    ("person-vehicle-bike-detection-2000", "street/000456.jpg"): [
        "[ WARNING ] Image P is resized from (375, 500) to (256, 256)",
        "[ INFO ] Starting inference in synchronous mode",
        "[ INFO ] Found: label = 0, confidence = 1.00, coords = (90, 36), (430, 299)",
    ],
    ("person-vehicle-bike-detection-2004", "street/000456.jpg"): [
        "[ WARNING ] Image P is resized from (375, 500) to (256, 448)",
        "[ INFO ] Starting inference in synchronous mode",
        "[ INFO ] Found: label = 0, confidence = 0.66, coords = (84, 44), (429, 300)",
    ],
    ("face-detection-retail-0004", "faces/2.jpg"): [
        "[ WARNING ] Image P is resized from (484, 1024) to (300, 300)",
        "[ INFO ] Starting inference in synchronous mode",
        "[ INFO ] Found: label = 1, confidence = 1.00, coords = (298, 97), (396, 232)",
        "[ INFO ] Found: label = 1, confidence = 1.00, coords = (126, 109), (228, 244)",
        "[ INFO ] Found: label = 1, confidence = 0.88, coords = (718, 131), (831, 272)",
    ],
}


@pytest.mark.parametrize(("name", "picture"), GOLDEN)
def test_golden_lines(mirror: Path, name: str, picture: str) -> None:
    path = SHARED / "images" / picture
    if not path.is_file():
        pytest.skip("../shared/images is not there: photographs are needed")
    detector = open_detector(mirror / name / "FP16" / f"{name}.xml")
    lines = [line.replace(str(path), "P") for line in ours(detector, path)]
    assert lines == [*GOLDEN[name, picture], "[ INFO ] Image out.bmp created!", f"[ INFO ] {NOTICE}", ""]


def test_the_lines_up_to_the_model() -> None:
    assert opening_lines(Path("a/m.xml"), "CPU", [Path("x.so")], ["c.txt"]) == [
        "[ INFO ] Creating Inference Engine",
        "[ INFO ] Loading the CPU extension: x.so",
        "[ INFO ] Loading the CPU configuration: c.txt",
        "[ INFO ] Reading the network: a/m.xml",
        "[ INFO ] Configuring input and output blobs",
        "[ INFO ] Loading the model to the plugin",
    ]


@pytest.fixture
def lines(model_giving: Callable[..., Path]) -> Callable[..., list[str]]:
    """Return the lines of what was found by a model that gives these arrays, on a picture of 200x100."""

    def run(outputs: Any, labels: LabelList | None = None, **feeding: Any) -> list[str]:
        detector = open_detector(
            model_giving(outputs, (1, 3, 8, 8)), feeding=Feeding(**feeding), labels=labels
        )
        pixels = np.zeros((100, 200, 3), np.uint8)
        told = result_lines(
            "p", (100, 200), detector.model, detector.rows(pixels), 0.5, Path("o"), labels is not None
        )
        return [line.removeprefix("[ INFO ] Found: label = ") for line in told if "Found" in line]

    return run


def test_one_output(lines: Any, detection_rows: Any) -> None:
    """In the order of the output, cut to whole numbers towards 0, not at the picture's edges, above 0.5 alone."""
    rows = detection_rows(
        (0, 3, 0.625, -0.0625, 0.1999, 0.50999, 1.25),
        (0, 1, 0.9951, 0.1, 0.2, 0.3, 0.4),
        (0, 2, 0.5, 0, 0, 1, 1),
    )
    assert lines({"out": rows}) == [
        "3, confidence = 0.62, coords = (-12, 19), (101, 125)",
        "1, confidence = 1.00, coords = (20, 20), (60, 40)",
    ]


def test_two_outputs(lines: Any) -> None:
    """Boxes are pixels of the input, 8x8; labels have no offset."""
    boxes = np.array([[1, 2, 3.5, 4, 0.75], [0, 0, 8, 8.5, 0.875]], np.float32)
    outputs = {"boxes": boxes, "labels": np.array([0, 2], np.uint16)}
    expected = [
        "confidence = 0.75, coords = (25, 25), (87, 50)",
        "confidence = 0.88, coords = (0, 0), (200, 106)",
    ]
    assert lines(outputs) == [f"0, {expected[0]}", f"2, {expected[1]}"]
    names = LabelList("l", ("vehicle", "person", "bike"), None)
    assert lines(outputs, names) == [f"vehicle, {expected[0]}", f"bike, {expected[1]}"]


def test_three_outputs(lines: Any) -> None:
    """On which the sample died."""
    scores = {"scores": np.array([[0.25, 0.75, 0.5]], np.float32)}
    assert lines(THREE | scores) == ["2, confidence = 0.75, coords = (0, 0), (200, 100)"]


def test_of_what_a_cropped_input_shows(lines: Any, detection_rows: Any) -> None:
    rows = detection_rows((0, 1, 0.75, 0, 0, 1, 1))
    assert lines({"out": rows}, mode="crop") == ["1, confidence = 0.75, coords = (50, 0), (150, 100)"]


def test_no_warning_for_a_picture_of_the_inputs_size(
    model_giving: Callable[..., Path], detection_rows: Any
) -> None:
    detector = open_detector(model_giving({"out": detection_rows()}, (1, 3, 8, 16)))
    rows = detector.rows(np.zeros((8, 16, 3), np.uint8))
    told = result_lines("p", (8, 16), detector.model, rows, 0.5, Path("o"), False)
    assert told[0] == "[ INFO ] Starting inference in synchronous mode"
    told = result_lines("p", (16, 8), detector.model, rows, 0.5, Path("o"), False)
    assert told[0] == "[ WARNING ] Image p is resized from (16, 8) to (8, 16)"


@pytest.mark.parametrize("width", [55, 79, 97, 110, 123, 300])
def test_whole_pixels_are_cut_as_the_sample_cut_them(
    model_giving: Any, detection_rows: Any, width: int
) -> None:
    rows = detection_rows((0, 1, 0.9, 0.0, 0.0, 1.0, 1.0))
    detector = open_detector(model_giving({"out": rows}, (1, 3, 300, 300)))
    found = detector.rows(np.zeros((55, width, 3), np.uint8))
    told = result_lines("p", (55, width), detector.model, found, 0.5, Path("o"), False)
    assert f"coords = (0, 0), ({width}, 55)" in "\n".join(told)
