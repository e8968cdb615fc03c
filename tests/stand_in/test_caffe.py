"""Prototxt files as they are published, and caffemodels under which pictures give detections."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from ssdconvert.caffe import read_network, refuse_misfit
from ssdconvert.errors import ConversionError
from ssdconvert.recipe import Input
from ssdconvert.runners.opencv_runner import OpencvRunner
from ssdconvert.ssd.preprocess import original_input
from ssdconvert.stand_in.caffe import write_caffe
from ssdconvert.stand_in.calibration_pictures import all_pictures
from ssdconvert.stand_in.mobilenet_ssd import mobilenet_ssd_prototxt
from ssdconvert.stand_in.ultraface_rfb import ultraface_rfb_prototxt


def spec(name: str, height: int, width: int) -> Input:
    return Input.model_validate_json(
        json.dumps(
            {
                "name": name,
                "shape": [1, 3, height, width],
                "color": {"model": "bgr", "converted": "bgr"},
                "mean": [127.5] * 3,
                "scale": [127.5] * 3,
                "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
            }
        )
    )


def rows(prototxt: Path, caffemodel: Path, entry: Input) -> list[np.ndarray]:
    """The detections of each embedded picture: image, label, score and corners, those with a score."""
    runner = OpencvRunner(prototxt, caffemodel, ["detection_out"])
    found = []
    for picture in all_pictures():
        image = original_input(picture, entry)
        detections = runner.run({entry.name: image})["detection_out"][0, 0]
        found.append(detections[detections[:, 2] > 0])
    return found


def test_the_prototxts_are_the_published_ones() -> None:
    digests = {
        mobilenet_ssd_prototxt(): "e781559c4f5beaec2a486ccd952af5b6fa408e9498761bf5f4fb80b4e9f0d25e",
        ultraface_rfb_prototxt(): "d2d93df9e05dd16888e7fd6b3f13676fc9b5020f07dc7f904e2d6157ecefc9f4",
    }
    for text, digest in digests.items():
        assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_a_prototxt_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "u.prototxt"
    path.write_text(ultraface_rfb_prototxt(480, 640))
    assert read_network(path).inputs == {"input": (1, 3, 480, 640)}


def test_tiny(tiny_prototxt: Path, tmp_path: Path) -> None:
    entry = spec("data", 64, 96)
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_caffe(entry, tiny_prototxt, tmp_path / name, "mbox_conf_flatten", "mbox_loc", 3, 0.4, seed)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()
    refuse_misfit(tiny_prototxt, tmp_path / "one")
    found = rows(tiny_prototxt, tmp_path / "one", entry)
    assert all(len(detections) for detections in found)
    assert set(np.concatenate(found)[:, 1]) == {1, 2}


def test_mobilenet_ssd_detects(tmp_path: Path) -> None:
    entry = spec("data", 300, 300)
    prototxt, caffemodel = tmp_path / "m.prototxt", tmp_path / "m.caffemodel"
    prototxt.write_text(mobilenet_ssd_prototxt())
    write_caffe(entry, prototxt, caffemodel, "mbox_conf_flatten", "mbox_loc", 21, 0.25)
    assert abs(caffemodel.stat().st_size - 23_147_564) < 10_000  # the published one's
    for found in rows(prototxt, caffemodel, entry):
        assert 20 <= len(found) <= 80
        assert len(set(found[:, 1])) > 8
        assert found[:, 2].max() > 0.5
        assert np.median(found[:, 2]) < 0.5
        assert np.abs(found[:, 3:]).max() < 3


def test_weights_that_are_not_those_of_convolutions(tmp_path: Path) -> None:
    path = tmp_path / "bn.prototxt"
    text = ultraface_rfb_prototxt().replace('type: "ReLU"', 'type: "PReLU"', 1)
    path.write_text(text)
    with pytest.raises(ConversionError, match=r"has the layer 247 \(PReLU\)"):
        write_caffe(spec("input", 240, 320), path, tmp_path / "x", "scores", "boxes", 2, 0.5)
