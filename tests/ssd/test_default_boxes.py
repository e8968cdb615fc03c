"""Default boxes, against numbers worked out by hand and against the constants of published graphs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ssdconvert.ssd.boxes import to_corners
from ssdconvert.ssd.default_boxes import (
    box_sizes,
    cell_centres,
    mlperf_default_boxes,
    nvidia_default_boxes,
    torchvision_default_boxes,
    ultraface_default_boxes,
)

Array = NDArray[Any]

MIRROR = Path(__file__).resolve().parents[3] / "shared" / "mirror"

GRIDS = (50, 25, 13, 7, 3, 3)
SCALES = (84, 180, 396, 612, 828, 1044, 1260)
RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
STARTS = (0, 10000, 13750, 14764, 15058, 15094, 15130)  # of the six levels, and the end
MIN_BOXES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
STRIDES = (8, 16, 32, 64)


@pytest.fixture(scope="module")
def mlperf() -> Array:
    return mlperf_default_boxes(1200, GRIDS, SCALES, RATIOS)


def test_mlperf_count_and_form(mlperf: Array) -> None:
    assert mlperf.shape == (15130, 4)
    assert mlperf.dtype == np.float32
    assert sum(grid * grid * (2 + 2 * len(r)) for grid, r in zip(GRIDS, RATIOS, strict=True)) == 15130


@pytest.mark.parametrize(
    ("level", "size", "row", "column", "width", "height"),
    [
        (0, 0, 0, 0, 0.07, 0.07),
        (0, 0, 0, 1, 0.07, 0.07),  # columns run fastest
        (0, 0, 1, 0, 0.07, 0.07),  # then rows
        (0, 1, 0, 0, math.sqrt(0.07 * 0.15), math.sqrt(0.07 * 0.15)),  # then sizes
        (0, 2, 3, 7, 0.07 * math.sqrt(2), 0.07 / math.sqrt(2)),  # a ratio: wide first
        (0, 3, 49, 49, 0.07 / math.sqrt(2), 0.07 * math.sqrt(2)),
        (1, 0, 24, 0, 0.15, 0.15),
        (1, 4, 2, 3, 0.15 * math.sqrt(3), 0.15 / math.sqrt(3)),
        (1, 5, 2, 3, 0.15 / math.sqrt(3), 0.15 * math.sqrt(3)),
        (2, 1, 12, 11, math.sqrt(0.33 * 0.51), math.sqrt(0.33 * 0.51)),
        (3, 2, 0, 6, 0.51 * math.sqrt(2), 0.51 / math.sqrt(2)),
        (4, 1, 1, 2, math.sqrt(0.69 * 0.87), math.sqrt(0.69 * 0.87)),
        (5, 0, 2, 1, 0.87, 0.87),
        (5, 2, 2, 2, 1.0, 0.87 / math.sqrt(2)),  # 1.23 wide, clamped
    ],
)
def test_mlperf_order_is_level_size_row_column(
    mlperf: Array, level: int, size: int, row: int, column: int, width: float, height: float
) -> None:
    grid = GRIDS[level]
    index = STARTS[level] + size * grid * grid + row * grid + column
    expected = [(column + 0.5) / grid, (row + 0.5) / grid, width, height]
    np.testing.assert_allclose(mlperf[index], expected, rtol=1e-6)


def test_mlperf_levels_end_where_the_next_begins(mlperf: Array) -> None:
    first_sizes = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87]
    for start, end, size, grid in zip(STARTS[:-1], STARTS[1:], first_sizes, GRIDS, strict=True):
        np.testing.assert_allclose(mlperf[start], [0.5 / grid, 0.5 / grid, size, size], rtol=1e-6)
        np.testing.assert_allclose(mlperf[end - 1, :2], 1 - 0.5 / grid, rtol=1e-6)


def test_mlperf_clamps_the_four_numbers_and_not_the_corners(mlperf: Array) -> None:
    assert mlperf.min() > 0
    assert mlperf.max() == 1
    corners = to_corners(mlperf)
    assert corners.min() < 0
    assert corners.max() > 1


def test_sizes_by_hand() -> None:
    sizes = box_sizes(90, 160, (4,))
    np.testing.assert_allclose(sizes, [(90, 90), (120, 120), (180, 45), (45, 180)])


def test_cell_centres() -> None:
    x, y = cell_centres(2, 3, (3, 2))
    np.testing.assert_allclose(x, [[1 / 6, 0.5, 5 / 6]] * 2)
    np.testing.assert_allclose(y, [[0.25] * 3, [0.75] * 3])


NVIDIA_GRIDS, NVIDIA_STEPS = (38, 19, 10, 5, 3, 1), (8, 16, 32, 64, 100, 300)
NVIDIA_SCALES = (21, 45, 99, 153, 207, 261, 315)
NVIDIA_STARTS = (0, 5776, 7942, 8542, 8692, 8728, 8732)


@pytest.mark.parametrize(
    ("level", "size", "row", "column", "expected"),
    [
        (0, 0, 0, 0, [0.5 / 37.5, 0.5 / 37.5, 0.07, 0.07]),
        (0, 0, 0, 1, [1.5 / 37.5, 0.5 / 37.5, 0.07, 0.07]),  # columns run fastest
        (0, 0, 1, 0, [0.5 / 37.5, 1.5 / 37.5, 0.07, 0.07]),  # then rows
        (0, 1, 0, 0, [0.5 / 37.5, 0.5 / 37.5, math.sqrt(0.07 * 0.15), math.sqrt(0.07 * 0.15)]),  # then sizes
        (0, 0, 37, 37, [1.0, 1.0, 0.07, 0.07]),  # a divisor of 38 would give 0.987
        (1, 4, 18, 0, [0.5 / 18.75, 18.5 / 18.75, 0.15 * math.sqrt(3), 0.15 / math.sqrt(3)]),
        (2, 0, 9, 9, [1.0, 1.0, 0.33, 0.33]),  # 9.5 / 9.375 = 1.013, clamped
        (3, 0, 4, 2, [2.5 / 4.6875, 4.5 / 4.6875, 0.51, 0.51]),
        (4, 2, 2, 1, [0.5, 2.5 / 3, 0.69 * math.sqrt(2), 0.69 / math.sqrt(2)]),
        (5, 2, 0, 0, [0.5, 0.5, 1.0, 0.87 / math.sqrt(2)]),  # 1.23 wide, clamped
    ],
)
def test_nvidia_divides_by_image_and_step(
    level: int, size: int, row: int, column: int, expected: list[float]
) -> None:
    boxes = nvidia_default_boxes(300, NVIDIA_GRIDS, NVIDIA_STEPS, NVIDIA_SCALES, RATIOS)
    assert boxes.shape == (8732, 4)
    assert boxes.dtype == np.float32
    grid = NVIDIA_GRIDS[level]
    index = NVIDIA_STARTS[level] + size * grid * grid + row * grid + column
    np.testing.assert_allclose(boxes[index], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [0.5 / 1.875, 0.5 / 1.875, 0.3, 0.3]),
        (1, [0.5 / 1.875, 0.5 / 1.875, math.sqrt(0.27), math.sqrt(0.27)]),  # sizes run fastest
        (4, [1.5 / 1.875, 0.5 / 1.875, 0.3, 0.3]),  # then columns
        (8, [0.5 / 1.875, 1.5 / 1.875, 0.3, 0.3]),  # then rows
        (16, [0.5, 0.5, 0.9, 0.9]),  # then levels
        (18, [0.5, 0.5, 1.0, 0.9 / math.sqrt(2)]),  # 1.27 wide, clamped
    ],
)
def test_torchvision_order_is_level_row_column_size(index: int, expected: list[float]) -> None:
    boxes = torchvision_default_boxes((2, 1), (1.875, 1), (0.3, 0.9, 1.0), ((2,), (2,)))
    assert boxes.shape == (20, 4)
    np.testing.assert_allclose(boxes[index], expected, rtol=1e-6)


def test_torchvision_clamps_no_centre() -> None:
    (box,) = torchvision_default_boxes((1,), (0.25,), (0.3, 0.9), ((),))[:1]
    np.testing.assert_allclose(box, [2.0, 2.0, 0.3, 0.3], rtol=1e-6)


@pytest.mark.parametrize(
    ("width", "height", "count"), [(320, 240, 4420), (640, 480, 17640), (1280, 960, 70500)]
)
def test_ultraface_count(width: int, height: int, count: int) -> None:
    boxes = ultraface_default_boxes(width, height, MIN_BOXES, STRIDES)
    assert boxes.shape == (count, 4)
    assert boxes.dtype == np.float32
    assert boxes.min() > 0
    assert boxes.max() <= 1


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [0.5 / 40, 0.5 / 30, 10 / 320, 10 / 240]),
        (1, [0.5 / 40, 0.5 / 30, 16 / 320, 16 / 240]),  # sizes run fastest
        (3, [1.5 / 40, 0.5 / 30, 10 / 320, 10 / 240]),  # then columns
        (3 * 40, [0.5 / 40, 1.5 / 30, 10 / 320, 10 / 240]),  # then rows
        (3 * 1200, [0.5 / 20, 0.5 / 15, 32 / 320, 32 / 240]),  # then levels
        (3600 + 2 * 300, [0.5 / 10, 0.5 / 8, 64 / 320, 64 / 240]),  # 8 rows, not 7.5
        (4200 + 2 * 80, [0.5 / 5, 0.5 / 4, 128 / 320, 128 / 240]),
        (4419, [4.5 / 5, 3.5 / 4, 256 / 320, 1.0]),  # 256 of 240 rows, clamped
    ],
)
def test_ultraface_order_is_level_row_column_size(index: int, expected: list[float]) -> None:
    np.testing.assert_allclose(
        ultraface_default_boxes(320, 240, MIN_BOXES, STRIDES)[index], expected, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["rfb", "slim"])
def test_ultraface_equals_the_constants_of_the_published_graph(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    found = sorted((MIRROR / f"ultraface-{name}-320-onnx").glob("*.onnx"))
    if not found:
        pytest.skip(f"no published graph in {MIRROR}")
    graph = onnx.load(found[0]).graph
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.name == "value")]
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in tensors]
    pairs = [constant.reshape(4420, 2) for constant in constants if constant.size == 2 * 4420]
    boxes = ultraface_default_boxes(320, 240, MIN_BOXES, STRIDES)
    assert any(np.abs(boxes[:, :2] - pair).max() < 1e-6 for pair in pairs), "no constant of the centres"
    assert any(np.abs(boxes[:, 2:] - pair).max() < 1e-6 for pair in pairs), "no constant of the sizes"
