"""Model Optimizer in the caffe toolchain: the same model as in OpenCV, the same bytes every time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.errors import ConversionError
from ssdconvert.recipe import Input
from ssdconvert.runners.opencv_runner import OpencvRunner
from ssdconvert.ssd.preprocess import converted_input, original_input
from ssdconvert.stand_in.caffe import write_caffe
from ssdconvert.stand_in.calibration_pictures import all_pictures
from ssdconvert.toolchains.call import Toolchain

HEADS = ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"]
SPEC = Input.model_validate_json(
    json.dumps(
        {
            "name": "data",
            "shape": [1, 3, 64, 96],
            "color": {"model": "rgb", "converted": "bgr"},
            "mean": [120, 110, 100],
            "scale": [60, 50, 40],
            "resize": {"mode": "stretch", "filter": "bilinear", "library": "opencv"},
        }
    )
)


@pytest.fixture
def request_(tiny_prototxt: Path, tmp_path: Path) -> dict[str, Any]:
    caffemodel = tmp_path / "tiny.caffemodel"
    write_caffe(SPEC, tiny_prototxt, caffemodel, "mbox_conf_flatten", "mbox_loc", 3, 0.4)
    return {
        "prototxt": str(tiny_prototxt),
        "caffemodel": str(caffemodel),
        "output": str(tmp_path / "a" / "tiny.xml"),
        "input_name": SPEC.name,
        "mean_values": SPEC.mean,
        "scale_values": SPEC.scale,
        "reverse_input_channels": True,
    }


def test_conversion(caffe_toolchain: Toolchain, request_: dict[str, Any], tmp_path: Path) -> None:
    import openvino

    told = caffe_toolchain.call("convert_caffe", request_)
    assert told["versions"]["openvino-dev"] == "2024.6.0"
    assert told["operations"]["DetectionOutput"] == 1
    again = tmp_path / "b" / "tiny.xml"
    caffe_toolchain.call("convert_caffe", request_ | {"output": str(again)})
    for suffix in (".xml", ".bin"):
        assert (
            again.with_suffix(suffix).read_bytes()
            == Path(request_["output"]).with_suffix(suffix).read_bytes()
        )
    assert str(tmp_path) not in again.read_text("utf-8")

    core = openvino.Core()
    model = core.read_model(again)
    (port,) = model.outputs
    assert ({"detection_out"}, [1, 1, 50, 7]) == (port.get_names(), list(port.shape))
    assert {"data"} == model.input().get_names()
    assert {constant.get_element_type().get_type_name() for constant in model.get_ops()
            if constant.get_type_name() == "Constant"} <= {"f32", "i64"}  # fmt: skip
    model.add_outputs(HEADS)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    runner = OpencvRunner(Path(request_["prototxt"]), Path(request_["caffemodel"]), [*HEADS, "detection_out"])
    for picture in all_pictures():
        expected = runner.run({"data": original_input(picture, SPEC)})
        actual = compiled({"data": converted_input(picture, SPEC)})
        for head in HEADS:
            difference = np.abs(actual[head].reshape(expected[head].shape) - expected[head]).max()
            assert difference < 1e-5 * np.abs(expected[head]).max()
        found = [
            rows[rows[:, 2] > 0] for rows in (expected["detection_out"][0, 0], actual["detection_out"][0, 0])
        ]
        one, other = (rows[np.lexsort((rows[:, 2], rows[:, 1]))] for rows in found)  # their orders differ
        assert len(one) == len(other) > 0
        assert np.abs(one - other).max() < 1e-4


def test_what_model_optimizer_cannot_convert(caffe_toolchain: Toolchain, request_: dict[str, Any]) -> None:
    path = Path(request_["prototxt"])
    path.write_text(path.read_text().replace('type: "Softmax"', 'type: "Sofmax"'))
    with pytest.raises(ConversionError) as raised:
        caffe_toolchain.call("convert_caffe", request_, stage="convert")
    assert 'Model Optimizer says: Found custom layer "conf_softmax"' in raised.value.message
    assert "FAQ" not in raised.value.message
    assert raised.value.stage == "convert"


def test_check(caffe_toolchain: Toolchain) -> None:
    from ssdconvert.toolchains.environment import check

    assert check("caffe")["versions"] == caffe_toolchain.kind.pins()
