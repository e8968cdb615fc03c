"""A model in an engine, fed the same prepared input again and again: ONNX Runtime, torch, OpenCV.

OpenVINO has requests of its own: openvino_engine.py. What is timed is the model on an input that is ready: what an
IR has inside (order of channels, mean, scale) counts, what the caller does before (decoding, resizing) does not.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ssdconvert.errors import WrongModel
from ssdconvert.runners import Arrays
from ssdconvert.speed.result import Hint

TRIALS = 2  # of each setting, before the faster is taken


@dataclass(frozen=True)
class Block:
    """One turn of an engine: the latency of each inference in milliseconds, and the seconds of the turn."""

    milliseconds: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Told:
    """What an engine says of how it runs; see `result.Row`. `batch` pictures are one inference."""

    runtime: str
    executed_on: str
    execution_precision: str
    work: str
    threads: int | None
    requests: int
    batch: int = 1


class Engine(Protocol):
    """A model that is ready: runs once, or for so many seconds."""

    @property
    def told(self) -> Told: ...

    def once(self) -> Arrays: ...

    def block(self, seconds: float) -> Block: ...


@dataclass(frozen=True)
class Contender:
    """What takes part: `open(hint, threads)` makes it ready, with `threads` None as its engine likes best.

    One that is not `required` is left out, with the reason, where it cannot be opened.
    """

    name: str
    engine: str
    precision: str
    device: str
    open: Callable[[Hint, int | None], Engine]
    required: bool = True


def numbered(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """Return contenders by whose names ratios can be told: the second and further ones of a name get a number."""
    names = [one.name for one in contenders]
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return tuple(
        one if count == 1 else replace(one, name=f"{one.name} ({count})")
        for one, count in zip(contenders, counts, strict=True)
    )


@dataclass(frozen=True)
class CalledEngine:
    """A model that is called, and returns its outputs; several threads call it at once where its requests are more.

    `set_threads` tells the library, before each turn and in each thread, with how many threads one call computes.
    """

    run: Callable[[], Arrays]
    told: Told
    set_threads: Callable[[int], None] = lambda threads: None

    def once(self) -> Arrays:
        """Run one inference."""
        self._share_out()
        return self.run()

    def _share_out(self) -> None:
        self.set_threads((self.told.threads or 1) // self.told.requests)

    def block(self, seconds: float) -> Block:
        """Run for so many seconds, at least one inference a request."""
        taken: list[float] = []
        started = time.perf_counter()

        def work() -> None:
            self._share_out()
            timed_calls(self.run, started + seconds, taken)

        helpers = [threading.Thread(target=work, daemon=True) for _ in range(self.told.requests - 1)]
        for helper in helpers:
            helper.start()
        work()
        for helper in helpers:
            helper.join()
        return Block(tuple(taken), time.perf_counter() - started)


def timed_calls(run: Callable[[], object], end: float, taken: list[float]) -> None:
    """Append the milliseconds of each call until the clock shows `end`, at least one."""
    now = time.perf_counter()
    while True:
        before = now
        run()
        now = time.perf_counter()
        taken.append((now - before) * 1000)
        if now >= end:
            return


def fastest(engines: Sequence[Engine], seconds: float = 0.3) -> Engine:
    """Return the engine that gives most pictures a second, of several settings of one model tried in turn."""
    if len(engines) == 1:
        return engines[0]
    rates = [0.0] * len(engines)
    for engine in engines:
        engine.once()
    for _ in range(TRIALS):
        for index, engine in enumerate(engines):
            block = engine.block(seconds)
            rates[index] = max(rates[index], len(block.milliseconds) * engine.told.batch / block.seconds)
    return engines[rates.index(max(rates))]


def splits(hint: Hint, threads: int) -> list[int]:
    """Return the numbers of requests among which threads may be shared out: all threads in one, and one in each.

    What answers one picture soonest is one request; which gives most pictures a second is tried.
    """
    return [1] if hint == "latency" or threads == 1 else [1, threads]


def refuse_no_numbers(name: str, outputs: Arrays) -> None:
    """Raise WrongModel where outputs hold NaN: arithmetic on it is no measure of a model's speed."""
    wrong = [
        output
        for output, array in outputs.items()
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any()
    ]
    if wrong:
        raise WrongModel(
            f"{name} gives NaN in {', '.join(wrong)}",
            hint="the model is broken: `ssdconvert verify` finds where",
            stage="bench",
        )
