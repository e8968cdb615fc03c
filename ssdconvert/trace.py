"""Where two files of one model begin to differ: every tensor that both have by name, in order of execution.

A wrong head says that something is wrong, the first wrong tensor says where. All the tensors of a large
network together take gigabytes, so they are compared in batches, each of which is a run of both files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ssdconvert.runners.inner_tensors import InnerTensor, InnerTensors

BATCH_BYTES = 128 * 2**20  # of tensors that one run returns: SSD-ResNet34's largest at 1200x1200 has 88 MiB
UNKNOWN_SHARE = 16  # a tensor of unknown size counts as one part in so many of a batch

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TracePoint:
    """How far a tensor of the second file is from the first's.

    `depth` counts the tensors compared before it. `max_error` is the largest difference relative to the
    tensor's largest value, `mean_error` the sum of all differences relative to the sum of all values;
    both None where one of the differences is not a number.
    """

    depth: int
    tensor: str
    op: str
    shape: tuple[int, ...]
    max_error: float | None
    mean_error: float | None


@dataclass(frozen=True)
class Trace:
    """The tensors that were compared, in order of execution.

    `skipped` counts those that have the same name but another shape, that hold no floats, or that have the
    input's own shape: in front of the first convolution the channels may be in the order of either side.
    """

    points: tuple[TracePoint, ...] = ()
    skipped: int = 0

    def first_over(self, limit: float, summed: bool = False) -> TracePoint | None:
        """Return the first point whose `max_error`, or `mean_error` when `summed`, exceeds the limit or is None."""
        for point in self.points:
            error = point.mean_error if summed else point.max_error
            if error is None or error > limit:
                return point
        return None


def trace(
    first: "InnerTensors",
    second: "InnerTensors",
    first_feeds: Feeds,
    second_feeds: Feeds,
    batch_bytes: int = BATCH_BYTES,
) -> Trace:
    """Compare each tensor that both have by name, in the first's order of execution.

    The feeds are one picture, as either side takes it.
    """
    pairs = _pairs(first.listed(first_feeds), second.listed(second_feeds), batch_bytes // UNKNOWN_SHARE)
    inputs = {array.shape for array in first_feeds.values()}
    points: list[TracePoint] = []
    skipped = 0
    for batch in _batches(pairs, batch_bytes):
        expected = first.run([pair.first for pair in batch], first_feeds)
        actual = second.run([pair.second for pair in batch], second_feeds)
        for pair in batch:
            arrays = expected.pop(pair.first), actual.pop(pair.second)
            if _comparable(*arrays) and arrays[0].shape not in inputs:
                errors = _errors(*arrays)
                points.append(TracePoint(len(points), pair.second, pair.op, arrays[0].shape, *errors))
            else:
                skipped += 1
    return Trace(tuple(points), skipped)


@dataclass(frozen=True)
class _Pair:
    """A tensor's name on either side, its operation, its size in bytes."""

    first: str
    second: str
    op: str
    size: int


def _pairs(first: "Sequence[InnerTensor]", second: "Sequence[InnerTensor]", unknown_size: int) -> list[_Pair]:
    """Return what both have by name, in the first's order; a folded one by the name that it has in the second."""
    theirs = {tensor.name: tensor for tensor in second}
    folded = {
        tensor.folded_into for tensor in first if tensor.name not in theirs and tensor.folded_into in theirs
    }
    pairs = []
    for tensor in first:
        name = (tensor.folded_into in folded and tensor.folded_into) or tensor.name
        if name in theirs and tensor.name not in folded:
            size = tensor.size or theirs[name].size or unknown_size
            op = tensor.op if name == tensor.name else theirs[name].op
            pairs.append(_Pair(tensor.name, name, op, size))
    return pairs


def _batches(pairs: Sequence[_Pair], batch_bytes: int) -> Iterator[list[_Pair]]:
    """Yield the pairs in order, as many at a time as fit, at least one."""
    batch: list[_Pair] = []
    filled = 0
    for pair in pairs:
        if batch and filled + pair.size > batch_bytes:
            yield batch
            batch, filled = [], 0
        batch.append(pair)
        filled += pair.size
    if batch:
        yield batch


def _comparable(expected: NDArray[Any], actual: NDArray[Any]) -> bool:
    floats = all(np.issubdtype(array.dtype, np.floating) for array in (expected, actual))
    return floats and expected.shape == actual.shape and expected.size > 0


def _errors(expected: NDArray[Any], actual: NDArray[Any]) -> tuple[float | None, float | None]:
    """Return the largest and the mean error of a tensor; None twice where one is not a number.

    An infinity that both sides have is no difference.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(actual.astype(np.float32, copy=False) - expected)
    difference[actual == expected] = 0
    if not np.isfinite(difference).all():
        return None, None
    values = np.abs(expected)
    values[~np.isfinite(values)] = 0
    largest, total = float(values.max()), float(values.sum(dtype=np.float64))
    return float(difference.max()) / (largest or 1.0), float(difference.sum(dtype=np.float64)) / (
        total or 1.0
    )
