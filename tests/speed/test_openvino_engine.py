"""A model in OpenVINO: what it is really fed, its requests, and contenders that other programs make."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.devices import Machine
from ssdconvert.errors import MissingDevice
from ssdconvert.speed import compare
from ssdconvert.speed.openvino_engine import openvino_contender
from ssdconvert.speed.result import Hint


@pytest.fixture
def model(model_giving: Callable[..., Path], detection_rows: Callable[..., Any]) -> Path:
    """A model that gives the means of its input's channels, 0..1, in DetectionOutput's place for boxes."""
    heads = {"bboxes": np.zeros((1, 1, 4), np.float32), "labels": np.zeros((1, 1), np.int64)}
    return model_giving(heads, means="scores")


@pytest.fixture
def blue() -> Any:
    return np.full((20, 30, 3), (0, 0, 255), np.uint8)


@pytest.mark.parametrize("hint", ["latency", "throughput"])
def test_every_inference_is_fed_the_picture(model: Path, blue: Any, hint: Hint) -> None:
    engine = openvino_contender("a", model, "FP32", blue).open(hint, 1)
    gc.collect()
    held = [np.zeros((1, 3, 8, 8), np.uint8) for _ in range(1000)]  # takes memory that is let go
    for _ in range(3):
        assert np.allclose(engine.once()["scores"], [[1, 0, 0]])  # blue comes first
        assert len(engine.block(0.01).milliseconds) >= engine.told.requests
    assert np.allclose(engine.once()["scores"], [[1, 0, 0]])
    assert held


def test_threads_and_precision_are_read_back(model: Path, blue: Any) -> None:
    told = openvino_contender("a", model, "FP32", blue).open("latency", 1).told
    assert (told.executed_on, told.execution_precision, told.threads, told.requests) == ("CPU", "f32", 1, 1)
    assert (told.work, told.batch) == ("detections", 1)


def test_settings_of_the_device_win(model: Path, blue: Any) -> None:
    machine = Machine(settings={"INFERENCE_NUM_THREADS": "1"})
    assert openvino_contender("a", model, "FP32", blue, machine=machine).open("latency", 2).told.threads == 1


def test_a_device_that_is_absent_is_told(model: Path, blue: Any) -> None:
    with pytest.raises(MissingDevice):
        openvino_contender("a", model, "FP32", blue, machine=Machine("GPU")).open("latency", None)


def test_pictures_of_a_batch_are_counted(
    model_giving: Callable[..., Path], detection_rows: Any, blue: Any
) -> None:
    path = model_giving({"detection_out": detection_rows((0, 1, 0.75, 0, 0, 1, 1))}, (4, 3, 8, 8))
    (row,) = compare([openvino_contender("a", path, "FP32", blue)], seconds=0.1, rounds=1, threads=1).rows
    assert row.pictures_per_second == pytest.approx(4000 / row.latency.mean, rel=0.3)
    assert row.requests == 1
