"""An FP16 IR is the FP32 IR rounded, or it is told what is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino.runtime import opset8 as ops

from ssdconvert.errors import ConversionError
from ssdconvert.ir_rounding import broken_rounding

Numbers = dict[str, Any]


def numbers() -> Numbers:
    random = np.random.default_rng(4)
    return {
        "weights": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "bias": np.array([1e-9, -1e6, 65504, 0.1], np.float32).reshape(1, 4, 1, 1),
        "pads": [1, 1],
        "slope": 0.5,
    }


def picture() -> Any:
    entry = ops.parameter([1, 3, 8, 8], np.float32)
    entry.set_friendly_name("image")
    return entry


def write(path: Path, half: bool, changes: Numbers | None = None) -> Path:
    used = numbers() | (changes or {})
    image = picture()
    conv = ops.convolution(
        image, ops.constant(used["weights"]), [1, 1], used["pads"], [1, 1], [1, 1], name="conv"
    )
    added = ops.add(conv, ops.constant(used["bias"]), name="add")
    last = ops.elu(added, used["slope"], name="last")
    model = openvino.Model([ops.result(last, name="out")], [image], "m")
    openvino.save_model(model, path, compress_to_fp16=half)
    return path


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return write(tmp_path / "full.xml", half=False)


def test_a_rounded_one_is_right(full: Path, tmp_path: Path) -> None:
    half = write(tmp_path / "half.xml", half=True)
    constants = [
        node for node in openvino.Core().read_model(half).get_ops() if node.get_type_name() == "Constant"
    ]
    assert "f16" in {node.get_element_type().get_type_name() for node in constants}
    assert broken_rounding(full, half) == []
    assert broken_rounding(full, full) == []


def scaled(used: Numbers) -> Numbers:
    return {"weights": used["weights"] * np.float32(1.001)}


def one_bit(used: Numbers) -> Numbers:
    weights = used["weights"].astype(np.float16)
    weights[0, 0, 0, 0] = np.nextafter(weights[0, 0, 0, 0], np.float16(9))
    return {"weights": weights.astype(np.float32)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (scaled, "other numbers: conv"),
        (one_bit, "other numbers: conv"),
        (lambda used: {"bias": used["bias"] * 2}, "other numbers: add"),
        (lambda used: {"pads": [0, 2]}, "other attributes or inputs: conv"),
        (lambda used: {"slope": 0.25}, "other attributes or inputs: last"),
    ],
)
def test_what_differs_is_named(
    full: Path, tmp_path: Path, change: Callable[[Numbers], Numbers], told: str
) -> None:
    half = write(tmp_path / "half.xml", half=True, changes=change(numbers()))
    (broken,) = broken_rounding(full, half)
    assert broken.endswith(told)


def test_another_graph_is_told(full: Path, tmp_path: Path) -> None:
    image = picture()
    other = openvino.Model([ops.result(ops.relu(image, name="last"), name="out")], [image], "m")
    openvino.save_model(other, tmp_path / "other.xml", compress_to_fp16=True)
    told = "; ".join(broken_rounding(full, tmp_path / "other.xml"))
    assert "only one of them has: add, conv" in told
    assert "other attributes or inputs: last" in told


def test_a_file_that_is_not_there(full: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="does not exist"):
        broken_rounding(full, tmp_path / "none.xml")
