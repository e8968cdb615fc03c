"""Default boxes (priors) of the SSD families that ssdconvert knows.

Every function returns `centres`, float32 [P, 4] in 0..1, in the order in which the family's heads
emit their predictions. That order differs between families, so it belongs to the boxes' contract:
see each function.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def cell_centres(rows: int, columns: int, divisor: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return x and y of each cell's centre, both [rows, columns], as (index + 0.5) / divisor.

    `divisor` is (horizontal, vertical). It equals (columns, rows) in families that divide by the
    grid, and image / step in those that divide by a step, where the two differ.
    """
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return (x + 0.5) / divisor[0], (y + 0.5) / divisor[1]


def box_sizes(scale: float, next_scale: float, aspect_ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Return (width, height) of the default boxes of one level, in the units of the scales.

    The square box, the square box of the geometric mean scale, then each ratio and its swap: the
    order of MLPerf, NVIDIA and torchvision.
    """
    between = float(np.sqrt(scale * next_scale))
    sizes = [(scale, scale), (between, between)]
    for ratio in aspect_ratios:
        width, height = scale * float(np.sqrt(ratio)), scale / float(np.sqrt(ratio))
        sizes += [(width, height), (height, width)]
    return sizes


def _at_each_cell(
    x: FloatArray, y: FloatArray, sizes: Sequence[tuple[float, float]], size_major: bool
) -> FloatArray:
    """Return a level's boxes [P, 4]: each (width, height) at each cell's centre x, y [rows, columns].

    Order: size, row, column if `size_major` (heads that are coordinate-major), else row, column, size.
    """
    per_size = [np.stack([x, y, np.full_like(x, w), np.full_like(y, h)], axis=-1) for w, h in sizes]
    return np.stack(per_size, axis=0 if size_major else 2).reshape(-1, 4)


def mlperf_default_boxes(
    image_size: int,
    grids: Sequence[int],
    scales: Sequence[int],
    aspect_ratios: Sequence[Sequence[float]],
) -> FloatArray:
    """Return the default boxes of MLPerf's SSD-ResNet34, `centres` [P, 4].

    Order: level, size, row, column (size-major: the heads are coordinate-major). `scales` are
    pixels of the network's input, one more than there are `grids`. Centres are (index + 0.5) / grid
    and all four numbers are clamped to 0..1, which clips widths above 1 and never a centre
    (mlcommons/inference, models/ssd_r34.py, class DefaultBoxes).
    """
    return _size_major_boxes(image_size, grids, grids, scales, aspect_ratios)


def nvidia_default_boxes(
    image_size: int,
    grids: Sequence[int],
    steps: Sequence[int],
    scales: Sequence[int],
    aspect_ratios: Sequence[Sequence[float]],
) -> FloatArray:
    """Return the default boxes of NVIDIA's SSD300, `centres` [P, 4].

    As MLPerf's but for the divisor of the centres: image / step, not rounded, 37.5 where the grid is
    38. So the last centre of that level is at 1, and clamping does reach centres
    (NVIDIA/DeepLearningExamples, PyTorch/Detection/SSD, class DefaultBoxes).
    """
    divisors = [image_size / step for step in steps]
    return _size_major_boxes(image_size, grids, divisors, scales, aspect_ratios)


def _size_major_boxes(
    image_size: int,
    grids: Sequence[int],
    divisors: Sequence[float],
    scales: Sequence[int],
    aspect_ratios: Sequence[Sequence[float]],
) -> FloatArray:
    boxes = []
    for level, (grid, divisor) in enumerate(zip(grids, divisors, strict=True)):
        x, y = cell_centres(grid, grid, (divisor, divisor))
        small, large = scales[level] / image_size, scales[level + 1] / image_size
        boxes.append(_at_each_cell(x, y, box_sizes(small, large, aspect_ratios[level]), size_major=True))
    return np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)


def torchvision_default_boxes(
    grids: Sequence[int],
    divisors: Sequence[float],
    scales: Sequence[float],
    aspect_ratios: Sequence[Sequence[float]],
) -> FloatArray:
    """Return the default boxes of torchvision's SSDs on a square input, `centres` [P, 4].

    Order: level, row, column, size. `scales` are in 0..1, one more than there are `grids`; `divisors`
    are image / step, or the grids in networks without steps. Widths and heights are clamped to 0..1,
    centres are not (models/detection/anchor_utils.py, class DefaultBoxGenerator). torchvision goes on
    with the corners in pixels of the input; its detections are the same but for rounding.
    """
    boxes = []
    for level, (grid, divisor) in enumerate(zip(grids, divisors, strict=True)):
        x, y = cell_centres(grid, grid, (divisor, divisor))
        sizes = box_sizes(scales[level], scales[level + 1], aspect_ratios[level])
        clamped = [(min(width, 1.0), min(height, 1.0)) for width, height in sizes]
        boxes.append(_at_each_cell(x, y, clamped, size_major=False))
    return np.concatenate(boxes).astype(np.float32)


def ultraface_default_boxes(
    image_width: int,
    image_height: int,
    min_boxes: Sequence[Sequence[int]],
    strides: Sequence[int],
) -> FloatArray:
    """Return the default boxes of Linzaer's Ultra-Light face detectors, `centres` [P, 4].

    Order: level, row, column, size. `min_boxes` are sides in pixels of the input. The divisor of
    the centres is the grid, not image / stride: 8 rows of stride 32 in 240 pixels, not 7.5
    (vision/ssd/config/fd_config.py and vision/utils/box_utils.py, function generate_priors; equal
    to the constants of the published version-RFB-320.onnx). All four numbers are clamped to 0..1.
    """
    boxes = []
    for sides, stride in zip(min_boxes, strides, strict=True):
        columns, rows = -(-image_width // stride), -(-image_height // stride)
        x, y = cell_centres(rows, columns, (columns, rows))
        sizes = [(side / image_width, side / image_height) for side in sides]
        boxes.append(_at_each_cell(x, y, sizes, size_major=False))
    return np.clip(np.concatenate(boxes), 0.0, 1.0).astype(np.float32)
