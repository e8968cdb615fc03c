"""The cores that this process may use, and their shares for several processes at once.

A share is given to a process before it starts: as its affinity, where the system has such, which OpenVINO,
OpenCV and torch obey, and in the variables that libraries of arithmetic read when they are loaded. ONNX
Runtime obeys neither: it counts the machine's cores and puts a thread on each, also on those that the
process may not use. It is told a number instead, see `threads_for_onnx_runtime`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise

_ONE_THREAD = ContextVar("one_thread", default=False)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores_allowed() -> tuple[int, ...]:
    """Return the numbers of the cores that this thread may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def shares(cores: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Divide cores into `count` shares of neighbours, 1 <= count <= len(cores), the larger ones first."""
    size, larger = divmod(len(cores), count)
    starts = [index * size + min(index, larger) for index in range(count + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(starts)]


@contextmanager
def given_to_children(cores: Sequence[int]) -> Iterator[None]:
    """Give processes that this thread starts these cores, and as many threads, or fewer where the user says so."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    allowed = cores_allowed()
    for name, value in before.items():
        wanted = int(value) if value and value.isdecimal() else 0  # 0, and lists for nested loops: no limit
        os.environ[name] = str(min(wanted or len(cores), len(cores)))
    _bind(cores)
    try:
        yield
    finally:
        _bind(allowed)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def one_thread_a_session() -> Iterator[None]:
    """Have ONNX Runtime compute with one thread in sessions that are made meanwhile, for pictures side by side."""
    token = _ONE_THREAD.set(True)
    try:
        yield
    finally:
        _ONE_THREAD.reset(token)


def threads_for_onnx_runtime() -> int:
    """Return how many threads ONNX Runtime is told to compute with; 0 leaves it its own choice, all cores."""
    if _ONE_THREAD.get():
        return 1
    allowed = len(cores_allowed())
    return allowed if allowed < (os.cpu_count() or 1) else 0


def _bind(cores: Sequence[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
