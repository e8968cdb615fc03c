"""Pictures in, rows out: what the model is fed, batches, failures among many, and the order of results."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.deployed import Feeding
from ssdconvert.detector import detected, open_detector
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, MissingDevice, RecipeError
from ssdconvert.runners.openvino_core import extensions_in_use
from ssdconvert.runners.queues import AHEAD, OpenvinoQueue

RGB = np.tile(np.array([200, 100, 50], np.uint8), (20, 30, 1))
THREE = {"bboxes": np.tile(np.float32([0, 0, 1, 1]), (1, 3, 1)), "labels": np.array([[1, 2, 3]])}


@pytest.fixture
def seen(model_giving: Callable[..., Path]) -> Callable[..., list[float]]:
    """Return the means of the channels that the model is fed."""

    def run(shape: tuple[int, ...] = (1, 3, 8, 8), kind: Any = np.float32, **feeding: Any) -> list[float]:
        path = model_giving(THREE, shape, kind=kind, means="scores")
        rows = open_detector(path, feeding=Feeding(**feeding)).rows(RGB)
        return [round(float(score) * 255, 2) for score in rows.scores]

    return run


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.float16, np.int32])
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 8, 12, 3), (-1, 3, 8, 8)])
def test_a_picture_is_fed_as_bgr_pixels(seen: Any, shape: tuple[int, ...], kind: Any) -> None:
    assert seen(shape, kind) == pytest.approx([50, 100, 200], abs=0.1)


def test_what_the_user_says_of_feeding(seen: Any) -> None:
    assert seen(color="rgb") == [200, 100, 50]
    assert seen(color="rgb", mean=(100, 50, 10), scale=(2, 5, 4)) == pytest.approx([50, 10, 10], abs=0.01)
    assert seen((1, 8, 8, 3), mean=(10, 10, 10)) == pytest.approx([40, 90, 190], abs=0.01)


def test_the_filter_is_part_of_feeding(model_giving: Callable[..., Path]) -> None:
    """Of a fine chequerboard OpenCV's filter picks pixels, Pillow's takes the mean."""
    fine = np.indices((128, 128)).sum(axis=0) % 16 == 0
    pixels = np.repeat(fine[..., None], 3, axis=2).astype(np.uint8) * 255
    path = model_giving(THREE, means="scores")
    means = [
        float(open_detector(path, feeding=Feeding(library=library)).rows(pixels).scores[0])
        for library in ("opencv", "pillow")
    ]
    assert means[1] == pytest.approx(fine.mean(), abs=0.01)
    assert abs(means[0] - means[1]) > 0.02


def test_a_batch_is_filled_up_and_told_apart(model_giving: Callable[..., Path], detection_rows: Any) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    rows = detection_rows((0, 1, 0.5, *box), (1, 2, 0.75, *box), (2, 3, 0.25, *box))
    detector = open_detector(model_giving({"out": rows}, (3, 3, 8, 8)), many=True)
    results = detected(detector, list(range(5)), lambda index: RGB, lambda i, p, r: (i, r.labels.tolist()))
    assert list(results) == [(0, [1]), (1, [2]), (2, [3]), (3, [1]), (4, [2])]


def test_many_pictures_keep_their_order_and_their_results(model_giving: Callable[..., Path]) -> None:
    detector = open_detector(model_giving(THREE, means="scores"), many=True)

    def read(value: int) -> Any:
        return np.full((5 + value, 9, 3), value, np.uint8)

    results = list(
        detected(detector, list(range(1, 200)), read, lambda i, p, r: (i, round(float(r.scores[0]) * 255)))
    )
    assert results == [(value, value) for value in range(1, 200)]


@pytest.mark.parametrize("batch", [1, 3])
def test_one_failure_among_many_is_its_own(
    model_giving: Callable[..., Path], detection_rows: Any, batch: int
) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    rows = detection_rows(*[(index, index, 0.5, *box) for index in range(batch)])
    detector = open_detector(model_giving({"out": rows}, (batch, 3, 8, 8)), many=True)
    broken = RecipeError("broken")

    def read(index: int) -> Any:
        if index in (1, 4, 5, 6, 7):
            raise broken
        return RGB

    def finish(index: int, pixels: Any, rows: Any) -> int:
        if index == 2:
            raise broken
        return index

    results = list(detected(detector, list(range(10)), read, finish))
    assert results == [0, broken, broken, 3, broken, broken, broken, broken, 8, 9]


def test_a_bug_is_not_swallowed(model_giving: Callable[..., Path]) -> None:
    detector = open_detector(model_giving(THREE, means="scores"), many=True)
    with pytest.raises(ZeroDivisionError):
        list(detected(detector, [1, 0, 1], lambda one: RGB, lambda i, p, r: 1 // i))


def test_as_many_requests_as_the_device_wants(model_giving: Callable[..., Path]) -> None:
    path = model_giving(THREE, means="scores")
    assert open_detector(path).queue.requests == 1
    one = open_detector(path, machine=Machine(settings={"NUM_STREAMS": "1"}), many=True)
    assert one.queue.requests == AHEAD
    many = open_detector(path, many=True).queue
    assert isinstance(many, OpenvinoQueue)
    wanted = many.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    assert many.requests == len(many.queue) == AHEAD * wanted


def test_nothing_is_left_changed_for_others(model_giving: Callable[..., Path]) -> None:
    import cv2

    before = cv2.getNumThreads(), sys.getswitchinterval()
    detector = open_detector(model_giving(THREE, means="scores"), many=True)
    assert list(detected(detector, [0], lambda one: RGB, lambda i, p, r: cv2.getNumThreads())) == [1]
    assert (cv2.getNumThreads(), sys.getswitchinterval()) == before


def test_a_request_that_fails_is_told(
    model_giving: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that ends without its callback would be waited for for ever."""
    monkeypatch.setattr("ssdconvert.runners.queues.SILENCE", 0.05)
    detector = open_detector(model_giving(THREE, means="scores"))
    detector.queue.queue.set_callback(lambda request, future: None)
    with pytest.raises(ConversionError, match="ended without an answer"):
        detector.rows(RGB)
    with pytest.raises(ConversionError, match="does not run in OpenVINO on CPU"):
        detector.queue.submit(np.zeros((1, 3, 9, 9), np.float32))


def test_a_missing_extension(model_giving: Callable[..., Path], tmp_path: Path) -> None:
    path = model_giving(THREE, means="scores")
    with pytest.raises(RecipeError, match=r"the extension none\.so does not exist"):
        open_detector(path, machine=Machine(extensions=(Path("none.so"),)))
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(ConversionError, match="cannot be loaded"):
        open_detector(path, machine=Machine(extensions=(tmp_path / "text.so",)))
    # what a build runs on: its detect stage opens the IR as any other
    with extensions_in_use([tmp_path / "text.so"]), pytest.raises(ConversionError, match="cannot be loaded"):
        open_detector(path)


@pytest.mark.parametrize(("key", "value"), [("NO_SUCH_KEY", "1"), ("NUM_STREAMS", "many")])
def test_a_setting_that_the_device_refuses(model_giving: Callable[..., Path], key: str, value: str) -> None:
    path = model_giving(THREE, means="scores")
    with pytest.raises(RecipeError, match=f"CPU refuses {key} = {value}") as refused:
        open_detector(path, machine=Machine(settings={key: value}))
    assert "NUM_STREAMS" in refused.value.hint
    assert "AVAILABLE_DEVICES" not in refused.value.hint  # which cannot be set


def test_a_missing_device(model_giving: Callable[..., Path]) -> None:
    path = model_giving(THREE, means="scores")
    for settings in ({}, {"NUM_STREAMS": "1"}):
        with pytest.raises(MissingDevice, match="no device MYRIAD"):
            open_detector(path, machine=Machine("MYRIAD", settings=settings))


def test_mean_and_scale_of_whole_numbers_are_refused(model_giving: Callable[..., Path]) -> None:
    path = model_giving(THREE, kind=np.uint8, means="scores")
    with pytest.raises(RecipeError, match="takes whole numbers"):
        open_detector(path, feeding=Feeding(mean=(127.5, 127.5, 127.5)))


def test_outputs_of_other_shapes_than_promised_are_told(model_giving: Callable[..., Path]) -> None:
    path = model_giving({"boxes": np.ones((5, 5), np.float32), "labels": np.ones(3, np.int64)})
    with pytest.raises(ConversionError, match="5 boxes, 3 labels") as told:
        open_detector(path).rows(RGB)
    assert "understood are" in told.value.hint


def test_a_model_that_resizes_gets_the_picture_itself(
    model_giving: Callable[..., Path], tmp_path: Path
) -> None:
    import openvino

    path = model_giving(THREE, (1, -1, -1, 3), kind=np.uint8, means="scores")
    model = openvino.Core().read_model(path)
    said = {"labels": "cat", "input_color": "bgr", "baked_resize": "stretch bilinear opencv 8x6"}
    for key, value in said.items():
        model.set_rt_info(value, ["ssdconvert", key])
    openvino.save_model(model, tmp_path / "open.xml", compress_to_fp16=False)
    detector = open_detector(tmp_path / "open.xml")
    assert detector.prepared(RGB).shape == RGB.shape
    assert detector.prepared(RGB).dtype == np.uint8
    assert (np.round(detector.rows(RGB).scores * 255)).tolist() == [50, 100, 200]
    forced = open_detector(tmp_path / "open.xml", feeding=Feeding(library="pillow"))
    assert forced.prepared(RGB).shape == (6, 8, 3)
