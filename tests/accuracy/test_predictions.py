"""Lines that stay whatever becomes of the process, and those that no longer hold."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.accuracy.data_set import AnnotatedPicture, DataSet
from ssdconvert.accuracy.finders import Finder
from ssdconvert.accuracy.predictions import (
    FORMAT,
    as_annotated,
    line_of,
    predictions_in,
    read_predictions,
)
from ssdconvert.errors import RecipeError
from ssdconvert.ssd.detections import Detections

HEADER: dict[str, Any] = {"format": FORMAT, "data_set": "a", "models": {"FP32": {"files": {"x": "1"}}}}
BOXES = np.array([[0, 0.5, 0.5, 1]], np.float32)
FINDER = Finder(lambda pixels: Detections(BOXES, np.array([1]), np.array([0.5], np.float32)), 1)


def fill(path: Path, data: DataSet, header: dict[str, Any] = HEADER, count: int = 3) -> str:
    """Add lines of as many pictures as are missing, and return what was told."""
    with predictions_in(path, header) as predictions:
        for picture in predictions.missing("FP32", data.pictures[:count]):
            predictions.add(line_of("FP32", FINDER, picture))
        return predictions.told


def test_a_run_goes_on(tmp_path: Path, data: DataSet) -> None:
    path = tmp_path / "out" / "predictions.jsonl"
    assert fill(path, data) == ""
    before = path.read_bytes()
    with predictions_in(path, HEADER) as predictions:
        assert [one.id for one in predictions.missing("FP32", data.pictures)] == [4, 5, 6, 7, 8, 9]
        predictions.add(line_of("FP32", FINDER, data.pictures[3]))
        assert path.read_bytes().startswith(before)  # it is there before the run ends
        assert path.read_bytes().count(b"\n") == 5
    row = read_predictions(path).lines["FP32", 1].document["rows"]
    assert row == [(1, 0.0, 10.0, 15.0, 10.0, 0.5)]


@pytest.mark.parametrize(
    "tail", [b"", b"\n", b'{"model": "FP32"', b'{"model": "FP32", "picture": 4, "rows": [[1', b"\xff"]
)
def test_what_a_kill_leaves_of_a_line_is_dropped(tmp_path: Path, data: DataSet, tail: bytes) -> None:
    path = tmp_path / "predictions.jsonl"
    fill(path, data)
    before = path.read_bytes()
    path.write_bytes(before + tail)
    with predictions_in(path, HEADER) as predictions:
        assert len(predictions.lines) == 3
    assert path.read_bytes() == before
    path.write_bytes(before[:-1])  # a whole line without its end may be a part of one
    with predictions_in(path, HEADER) as predictions:
        assert len(predictions.lines) == 2


def test_another_data_set_begins_anew(tmp_path: Path, data: DataSet) -> None:
    path = tmp_path / "predictions.jsonl"
    fill(path, data)
    told = fill(path, data, {**HEADER, "data_set": "b", "code": "new"})
    assert told == f"begins anew: code, data_set changed since {path} was written"
    assert len(read_predictions(path).lines) == 3


def test_of_several_models_those_that_changed_begin_anew(tmp_path: Path, data: DataSet) -> None:
    path = tmp_path / "predictions.jsonl"
    fill(path, data)
    both = {**HEADER, "models": {"FP16": {"files": {}}}}
    with predictions_in(path, both) as predictions:
        assert len(predictions.missing("FP16", data.pictures)) == 9
        predictions.add(line_of("FP16", FINDER, data.pictures[0]))
    changed = {**HEADER, "models": {"FP16": {"files": {"y": "2"}}}}
    with predictions_in(path, changed) as predictions:
        assert predictions.told.startswith("begins FP16 anew")
        assert {name for name, _ in predictions.lines} == {"FP32"}
    assert set(read_predictions(path).header["models"]) == {"FP32", "FP16"}


def test_a_broken_picture_is_tried_again(tmp_path: Path, data: DataSet) -> None:
    path, picture = tmp_path / "predictions.jsonl", data.pictures[0]
    whole = picture.path.read_bytes()
    picture.path.write_bytes(b"no picture")
    line = line_of("FP32", FINDER, picture)
    assert line.broken
    assert str(picture.path) not in line.text
    assert "1.png cannot be read as a picture" in line.document["problem"]
    with predictions_in(path, HEADER) as predictions:
        predictions.add(line)
    picture.path.write_bytes(whole)
    with predictions_in(path, HEADER) as predictions:
        assert len(predictions.missing("FP32", data.pictures)) == 9


@pytest.mark.parametrize("content", ["", "{}\n", "[]\n", '{"format": "another", "models": {}}\n', "\xff\n"])
def test_what_is_no_file_of_predictions(tmp_path: Path, data: DataSet, content: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(content, "latin-1")
    with pytest.raises(RecipeError, match="holds no predictions"):
        read_predictions(path)
    assert fill(path, data).startswith("begins anew")
    assert len(read_predictions(path).lines) == 3


@pytest.mark.parametrize(
    ("annotated", "turned", "seen"),
    [((30, 20), True, (20, 30)), ((20, 30), True, (30, 20)), ((20, 30), False, (20, 30))],
)
def test_a_turned_picture_is_seen_as_it_was_annotated(
    tmp_path: Path, annotated: tuple[int, int], turned: bool, seen: tuple[int, int]
) -> None:
    """Annotated (width, height) decide; a picture that no EXIF turns is taken as it is, and its boxes are scaled."""
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6 if turned else 1
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    picture = AnnotatedPicture(1, "turned.jpg", path, *annotated)
    assert as_annotated(picture).shape[:2] == seen
    document = line_of("FP32", FINDER, picture).document
    assert ("size" in document) == (not turned)
    x, y, width, height = document["rows"][0][1:5]
    assert (x, y, width, height) == (0, annotated[1] / 2, annotated[0] / 2, annotated[1] / 2)


def test_lines_are_json_and_hold_every_digit(data: DataSet) -> None:
    line = line_of("FP32", FINDER, data.pictures[0])
    assert {key: json.loads(line.text)[key] for key in ("model", "picture")} == {
        "model": "FP32",
        "picture": 1,
    }
    assert line.document["rows"] == [(1, 0.0, 10.0, 15.0, 10.0, 0.5)]
