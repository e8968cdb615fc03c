"""What `show` prints of each kind of source; two of them to the letter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).with_name("golden")
FILE = {"name": "evidence", "urls": [], "size": 5, "sha256": "ab" * 32}
TWIN = {"file": FILE, "scores": "s", "boxes": "b"}
HEADS = {"scores": "my_scores", "boxes": "my_boxes"}


@pytest.fixture
def show(run: Callable[..., Any], recipe_file: Any, documents: Any) -> Callable[..., str]:
    """Return what is told of a recipe of a kind; FOLDER for where it lies."""

    def call(kind: str, changes: dict[str, Any] | None = None) -> str:
        path = recipe_file(documents[kind], changes)
        ended = run("show", path)
        assert (ended.code, ended.err) == (0, "")
        text: str = ended.out.replace(f"{path.parent}/", "FOLDER/")
        return text

    return call


def row(text: str, name: str) -> tuple[str, str]:
    """Both columns of a row, its lines joined."""
    lines = text.splitlines()
    start = next(
        index for index, line in enumerate(lines) if line.startswith(f"  {name:13}") and line[2] != " "
    )
    end = next(
        (i for i in range(start + 1, len(lines)) if not lines[i] or lines[i][2:15].strip()), len(lines)
    )
    cells = [(line[15:63].strip(), line[63:].strip()) for line in lines[start:end]]
    left, right = (" ".join(part for part in column if part) for column in zip(*cells, strict=True))
    return left, right


ACCURACY = [{"metric": "coco-map", "by": "authors", "value": 0.196, "source": "the paper, table 5"}]
NOTES = ["A note that is longer than a line is wrapped, and what follows stands below its first word. " * 2]


@pytest.mark.parametrize(
    ("golden", "kind", "changes"),
    [
        (
            "show-onnx",
            "onnx",
            {
                "source.recorded": {"file": FILE},
                "accuracy": ACCURACY,
                "notes": NOTES,
                "homepage": "https://host/x",
            },
        ),
        ("show-ir", "ir", {"detections.units": "pixels", "detections.clip": True}),
    ],
)
def test_to_the_letter(show: Any, golden: str, kind: str, changes: Any) -> None:
    assert show(kind, changes) == (GOLDEN / f"{golden}.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("kind", "changes", "original", "converted"),
    [
        ("onnx", {}, "ONNX", "OpenVINO IR FP32, FP16, INT8"),
        ("onnx", {"precisions": ["INT8"]}, "ONNX, quantised", "OpenVINO IR INT8"),
        ("caffe", {}, "Caffe", "OpenVINO IR FP32, FP16, INT8"),
        ("ir", {}, "OpenVINO IR", "OpenVINO IR FP32, FP16, INT8, as published"),
    ],
)
def test_formats(show: Any, kind: str, changes: Any, original: str, converted: str) -> None:
    assert row(show(kind, changes), "format") == (original, converted)


OURS = "bboxes f32 [1, {0}, 4], labels i64 [1, {0}], scores f32 [1, {0}]; best first, unused rows 0"
READY = "detection_out f32 [1, 1, {0}, 7] (image_id, label, score, corners); image_id -1 ends it"


@pytest.mark.parametrize(
    ("kind", "changes", "original", "converted"),
    [
        ("onnx", {}, "bboxes [1, N, 4], labels [1, N], scores [1, N], N <= 200", OURS.format(200)),
        (
            "onnx",
            {"source.heads": HEADS},
            "my_scores [1, P, 4] and my_boxes [1, P, 4] (decoded boxes), before NMS",
            OURS.format(200),
        ),
        ("caffe", {}, READY.format(50), READY.format(50)),
        (
            "caffe",
            {"source.heads": HEADS | {"default_boxes": "ultraface"}},
            "my_scores [1, P, 3] and my_boxes [1, P, 4] (offsets), before NMS",
            OURS.format(50),
        ),
        ("ir", {}, READY.format(40), READY.format(40)),
        (
            "ir",
            {"detections.units": "pixels"},
            "boxes f32 [N, 5] (corners, score), labels [N], N <= 40",
            "boxes f32 [N, 5] (corners, score), labels [N], N <= 40",
        ),
    ],
)
def test_outputs(show: Any, kind: str, changes: Any, original: str, converted: str) -> None:
    assert row(show(kind, changes), "outputs") == (original, converted)


def test_where_labels_begin(show: Any) -> None:
    assert row(show("ir"), "labels") == ("0..2, no background 0 vehicle, 1 person, 2 bike", "0..2")
    from_one = row(show("ir", {"detections.first_label": 1}), "labels")
    assert from_one == ("1..3, 0 is the background 1 vehicle, 2 person, 3 bike", "1..3, 0 is the background")


def test_many_labels_are_cut_short(show: Any) -> None:
    text = show("onnx", {"detections.labels": [f"class {index}" for index in range(1, 9)]})
    joined = " ".join(text.split())
    assert "6 class 6, ..., 8 class 8" in joined
    assert "7 class 7" not in joined


def test_what_is_inside_and_what_is_not(show: Any) -> None:
    text = show("onnx")
    assert row(text, "colour") == ("RGB", "BGR")
    assert row(text, "values") == ("(0..255 - mean) / scale", "0..255")
    assert row(text, "mean") == ("120 110 100 (RGB)", "inside")
    assert row(text, "scale") == ("60 50 40 (RGB)", "inside")
    text = show("ir")
    assert row(text, "colour") == ("BGR", "BGR")
    assert row(text, "values") == ("0..255", "0..255")
    assert "mean" not in text


def test_boxes_tell_their_units(show: Any) -> None:
    assert row(show("ir", {"detections.units": "pixels"}), "boxes")[0].endswith("pixels of the input")
    assert row(show("ir"), "boxes")[0] == "x_min, y_min, x_max, y_max, 0..1"


def test_evidence_is_told_as_what_it_is(show: Any) -> None:
    text = show("caffe", {"source.heads": HEADS, "source.twin": TWIN})
    (line,) = (line for line in text.splitlines() if line.startswith("  twin"))
    told = f"twin evidence 5 bytes sha256 {'ab' * 32}, if it is in the cache or in a mirror"
    assert " ".join(line.split()) == told


@pytest.mark.parametrize("kind", ["onnx", "caffe", "ir"])
def test_every_file_is_told(show: Any, documents: Any, kind: str) -> None:
    lines = [line for line in show(kind).splitlines() if line.startswith("  file")]
    assert [line.split()[1] for line in lines] == [
        file["name"] for file in documents[kind]["source"]["files"]
    ]
    assert all(line.endswith("size not published  unpinned") for line in lines)
