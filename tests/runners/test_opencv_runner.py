"""OpenCV's dnn on Caffe models: inner outputs, and files that it cannot run."""

from pathlib import Path

import numpy as np
import pytest

from ssdconvert.caffe import Array, read_network, write_caffemodel
from ssdconvert.errors import ConversionError
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.runners.opencv_runner import OpencvRunner
from ssdconvert.ssd.detections import softmax


@pytest.fixture
def caffemodel(tiny_prototxt: Path) -> Path:
    random = np.random.default_rng(2)
    network = read_network(tiny_prototxt)
    weights = {
        layer.name: [
            random.standard_normal([s or 0 for s in shape], np.float32) * 0.2 for shape in layer.weights
        ]
        for layer in network.layers
        if layer.weights
    }
    path = tiny_prototxt.with_suffix(".caffemodel")
    write_caffemodel(path, network, weights)
    return path


@pytest.fixture
def image() -> Array:
    return np.random.default_rng(3).standard_normal((1, 3, 64, 96), np.float32)


def test_outputs_and_inner_outputs(tiny_prototxt: Path, caffemodel: Path, image: Array) -> None:
    names = ["conv1", "conf_reshape", "mbox_loc", "mbox_conf_flatten", "mbox_priorbox", "detection_out"]
    runner = OpencvRunner(tiny_prototxt, caffemodel, names)
    assert runner.runtime.startswith("opencv 4.")
    assert (runner.executed_on, runner.execution_precision) == ("CPU", "f32")
    outputs = runner.run({"data": image})
    assert list(outputs) == names
    boxes = 16 * 24 * 4
    assert outputs["mbox_loc"].shape == (1, boxes * 4)
    assert outputs["mbox_priorbox"].shape == (1, 2, boxes * 4)
    assert outputs["detection_out"].shape[-1] == 7
    assert outputs["conv1"].min() < 0  # before the ReLU that writes to the same blob
    logits = outputs["conf_reshape"].reshape(boxes, 3)
    assert np.abs(softmax(logits).ravel() - outputs["mbox_conf_flatten"][0]).max() < 1e-6


def test_results_stay_when_the_next_picture_runs(tiny_prototxt: Path, caffemodel: Path, image: Array) -> None:
    runner = OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc"])
    first = runner.run({"data": image})["mbox_loc"]
    before = first.copy()
    assert not np.array_equal(runner.run({"data": -image})["mbox_loc"], before)
    assert np.array_equal(first, before)
    assert np.array_equal(runner.run({"data": image})["mbox_loc"], before)


def test_an_output_that_is_not_there(tiny_prototxt: Path, caffemodel: Path) -> None:
    with pytest.raises(ConversionError, match=r"tiny\.prototxt has no layer boxes"):
        OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc", "boxes"])


@pytest.mark.parametrize(("name", "shape"), [("data", (1, 3, 64, 64)), ("image", (1, 3, 64, 96))])
def test_an_input_that_is_not_there(
    tiny_prototxt: Path, caffemodel: Path, name: str, shape: tuple[int, ...]
) -> None:
    runner = OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc"])
    with pytest.raises(ConversionError, match=r"inputs \{'data': \(1, 3, 64, 96\)\}, expected"):
        runner.run({name: np.zeros(shape, np.float32)})


def test_files_that_are_cut_short(tiny_prototxt: Path, caffemodel: Path) -> None:
    whole = caffemodel.read_bytes()
    caffemodel.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConversionError, match="is no caffemodel, or cut short"):
        OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc"])
    caffemodel.write_bytes(whole)
    tiny_prototxt.write_text(tiny_prototxt.read_text()[:900])
    with pytest.raises(ConversionError, match="is no prototxt"):
        OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc"])


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('type: "Softmax"', 'type: "Sofmax"', 'type "Sofmax"'),
        ('bottom: "loc_perm"', 'bottom: "nowhere"', "nowhere"),
        ("phase: TEST", "phase: NEVER", "NEVER"),
        ("dim: -1 dim: 3", "dim: 5 dim: 3", "tiny.prototxt does not run in OpenCV"),
    ],
)
def test_what_opencv_cannot_run(
    tiny_prototxt: Path, caffemodel: Path, image: Array, before: str, after: str, told: str,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    text = tiny_prototxt.read_text()
    assert before in text
    tiny_prototxt.write_text(text.replace(before, after))
    with pytest.raises(ConversionError) as raised:
        OpencvRunner(tiny_prototxt, caffemodel, ["mbox_loc", "detection_out"]).run({"data": image})
    assert told in raised.value.message
    assert raised.value.stage == "load"
    assert capfd.readouterr().err == ""


def test_the_real_caffe_model_equals_the_published_onnx(mirror: Path) -> None:
    folder = mirror / "ultraface-rfb-320-caffe"
    image = np.random.default_rng(4).standard_normal((1, 3, 240, 320), np.float32)
    caffe = OpencvRunner(folder / "RFB-320.prototxt", folder / "RFB-320.caffemodel", ["scores", "boxes"])
    onnx = OnnxRunner(mirror / "ultraface-rfb-320-onnx" / "version-RFB-320.onnx")
    ours, theirs = caffe.run({"input": image}), onnx.run({"input": image})
    assert ours["boxes"].shape == (1, 4420, 4)
    assert np.abs(ours["scores"] - theirs["scores"]).max() < 1e-5
