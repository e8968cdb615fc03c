"""Builds several recipes at once: a pool of processes that share the cores, each with one recipe at a time.

A process that is killed takes its recipe with it and no other: another one takes its place. The processes are
started new rather than forked, with their share of the cores before they import anything.
"""

import multiprocessing
import multiprocessing.resource_tracker
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any

from ssdconvert.build_result import BuildResult
from ssdconvert.build_worker import Job, work
from ssdconvert.cores import cores_allowed, given_to_children, shares
from ssdconvert.errors import EngineFailure

PATIENCE = 3.0  # seconds that processes have to end after they were told to
Outcome = BuildResult | Exception
Tell = Callable[[int, str, Any], None]


class WorkerTraceback(Exception):
    """Where in a process of the pool a failure arose, as text: the cause of the failure here."""


def useful_workers(jobs: int, recipes: int) -> int:
    """Return how many processes to use where `jobs` are allowed: no more than recipes, nor than cores."""
    return max(1, min(jobs, recipes, len(cores_allowed())))


def build_in_pool(jobs: Sequence[Job], workers: int, tell: Tell, log_level: int) -> list[Outcome]:
    """Build recipes in `workers` processes, and return what became of each, in the order of the jobs.

    `tell` hears the index of a job and of its "started" (None), what `build_worker.work` says while it
    runs, and its "ended" or "failed" with the outcome. Failures of any kind are outcomes, so that the others are
    built; a process that ends on its own is an EngineFailure. When this function is left, also by an exception
    of `tell` or KeyboardInterrupt, no process is left.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = deque(range(len(jobs)))
    pool = [_Worker(cores, log_level) for cores in shares(cores_allowed(), workers)]

    def hand_out(worker: _Worker) -> None:
        if waiting:
            index = waiting.popleft()
            tell(index, "started", None)
            worker.take(index, jobs[index])

    try:
        for worker in pool:
            hand_out(worker)
        while busy := {w.pipe: (w, w.index) for w in pool if w.index is not None}:
            for pipe in wait(list(busy)):
                worker, index = busy[pipe]
                kind, what = worker.heard()
                tell(index, kind, what)
                if kind in ("ended", "failed"):
                    outcomes[index] = what
                    hand_out(worker)
    finally:
        _end(pool)
    return [outcomes[index] for index in range(len(jobs))]


class _Worker:
    """A place in the pool: its cores, the process there, and the index of the job that it has, if any."""

    def __init__(self, cores: Sequence[int], log_level: int) -> None:
        self.cores, self.log_level = cores, log_level
        self.process: Any = None
        self.pipe: Any = None
        self.index: int | None = None
        self.name = self.stage = ""

    def take(self, index: int, job: Job) -> None:
        """Give the process a job; it is started where there is none."""
        if self.process is None:
            self._start()
        self.index, self.name, self.stage = index, job.entry.recipe.name, ""
        with suppress(OSError):  # one that has been killed meanwhile is told of when it is heard
            self.pipe.send(job)

    def heard(self) -> tuple[str, Any]:
        """Return the next message of the process, or that it has ended."""
        try:
            kind, what = self.pipe.recv()
        except (EOFError, OSError):
            kind, what = "failed", (self._gone(), "")
        if kind == "stage":
            self.stage = what.name
        if kind == "failed":
            what, text = what
            if text:
                what.__cause__ = WorkerTraceback(f"\n{text}")
        if kind in ("ended", "failed"):
            self.index = None
        return kind, what

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        multiprocessing.resource_tracker.ensure_running()  # or it would be started with this worker's cores
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.log_level), daemon=True)
        with given_to_children(self.cores), _interrupts_blocked():
            self.process.start()
        theirs.close()

    def _gone(self) -> EngineFailure:
        """Return the failure that a process without an answer stands for, and make its place free."""
        self.process.join()
        code, self.process = self.process.exitcode, None
        self.pipe.close()
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        after = f" after the stage {self.stage}" if self.stage else ""
        return EngineFailure(
            f"the process that built {self.name} {ended}{after}",
            hint="the system kills processes when memory runs out: build fewer at once; what is done is kept",
            stage="build",
        )


def _end(pool: Sequence[_Worker]) -> None:
    """End the processes of a pool: the idle ones by closing their pipes, the others at once."""
    running = [worker for worker in pool if worker.process is not None]
    for worker in running:
        worker.pipe.close()
        if worker.index is not None:
            worker.process.terminate()
    until = time.monotonic() + PATIENCE
    try:
        for worker in running:
            worker.process.join(max(0.0, until - time.monotonic()))
    finally:  # also when Ctrl-C is pressed again
        for worker in running:
            worker.process.kill()
            worker.process.join()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes that are started meanwhile begin with SIGINT blocked, and get one that comes afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
