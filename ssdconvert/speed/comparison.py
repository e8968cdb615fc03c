"""Measures contenders in turn, so that whatever the machine does meanwhile happens to all of them.

A round gives each contender one turn; the next round begins with another one. Ratios are taken within each round
and their median told with an interval: two times of the same model measured minutes apart can differ by more than two
engines do, the ratio of two turns side by side does not.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ssdconvert.errors import RecipeError, SsdconvertError
from ssdconvert.speed.engines import Block, Contender, Engine, refuse_no_numbers
from ssdconvert.speed.result import Comparison, Hint, Round, Row, Skipped
from ssdconvert.speed.spread import latency_of, ratio_of
from ssdconvert.speed.surroundings import LoadMeter, surroundings, warnings_of

SECONDS, ROUNDS = 10.0, 10
FEWEST_ROUNDS = 6  # for an interval of 95 %
PAUSE = 0.05  # seconds: threads of the engine before spin on the cores a while before they sleep


@dataclass(frozen=True)
class Turn:
    """What an engine did in its turn, and the seconds of CPU time that this process took meanwhile."""

    block: Block
    cpu_seconds: float


OnRound = Callable[[int, int], None]


def compare(
    contenders: Sequence[Contender],
    hint: Hint = "latency",
    seconds: float = SECONDS,
    rounds: int = ROUNDS,
    threads: int | None = None,
    on_round: OnRound = lambda done, rounds: None,
    skipped: Sequence[Skipped] = (),
) -> Comparison:
    """Measure contenders for `seconds` each, divided among `rounds`; all compute with the same number of threads.

    That is `threads`, else as many as the first of them takes by itself. Where an inference takes longer than a
    turn, there are fewer rounds, at least 6. Ratios are to the first contender, and to each of another engine.
    Raises RecipeError where there is none, WrongModel for one that gives NaN, and what opening a required one does.
    """
    refuse_nothing(seconds, rounds)
    opened, missing = _opened(contenders, hint, threads)
    if not opened:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in (*skipped, *missing))
        raise RecipeError(
            f"there is nothing to measure. {reasons}", hint="give a model that is built", stage="bench"
        )
    slowest = max(_warm_up(contender, engine) for contender, engine in opened)
    turns = max(min(rounds, FEWEST_ROUNDS), min(rounds, int(seconds / slowest)))
    meter = LoadMeter()
    measured = _turns([engine for _, engine in opened], seconds / turns, turns, on_round)
    around = surroundings(meter)
    rows = [_row(contender, engine, own) for (contender, engine), own in zip(opened, measured, strict=True)]
    first = rows[0]
    references = [first.name, *(row.name for row in rows[1:] if row.engine != first.engine)]
    return Comparison(
        hint, seconds, turns, tuple(_with_ratios(row, rows, references, hint) for row in rows),
        tuple(references), around, skipped=(*skipped, *missing), warnings=warnings_of(around, rows),
    )  # fmt: skip


def refuse_nothing(seconds: float, rounds: int) -> None:
    """Raise RecipeError for a time in which nothing can be measured."""
    if not 0 < seconds < float("inf") or rounds < 1:
        raise RecipeError(
            f"{seconds:g} seconds in {rounds} rounds measure nothing",
            hint="give more than 0 seconds and at least 1 round",
            stage="bench",
        )


def _opened(
    contenders: Sequence[Contender], hint: Hint, threads: int | None
) -> tuple[list[tuple[Contender, Engine]], list[Skipped]]:
    """Return the contenders that can be opened, and why others cannot."""
    opened: list[tuple[Contender, Engine]] = []
    skipped = []
    for contender in contenders:
        try:
            engine = contender.open(hint, threads)
        except (SsdconvertError, ModuleNotFoundError) as error:
            if contender.required:
                raise
            told = error.message if isinstance(error, SsdconvertError) else f"{error.name} is not installed"
            skipped.append(Skipped(contender.name, told))
            continue
        threads = threads or engine.told.threads
        opened.append((contender, engine))
    return opened, skipped


def _warm_up(contender: Contender, engine: Engine) -> float:
    """Run twice, and return the seconds of the second inference; WrongModel where the first gives NaN."""
    refuse_no_numbers(contender.name, engine.once())
    started = time.perf_counter()
    engine.once()
    return time.perf_counter() - started


def _turns(engines: Sequence[Engine], seconds: float, rounds: int, on_round: OnRound) -> list[list[Turn]]:
    """Return the turns of each engine; after others' turns each runs once before its own is timed."""
    turns: list[list[Turn]] = [[] for _ in engines]
    for number in range(rounds):
        on_round(number, rounds)
        with _no_collection():
            for place in range(len(engines)):
                index = (place + number) % len(engines)
                time.sleep(PAUSE)
                engines[index].once()
                used = time.process_time()
                block = engines[index].block(seconds)
                turns[index].append(Turn(block, time.process_time() - used))
    on_round(rounds, rounds)
    return turns


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect Python's garbage now, and not in between."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _row(contender: Contender, engine: Engine, turns: Sequence[Turn]) -> Row:
    told = engine.told
    taken = [one for turn in turns for one in turn.block.milliseconds]
    seconds = sum(turn.block.seconds for turn in turns)
    used = sum(turn.cpu_seconds for turn in turns)
    return Row(
        contender.name, contender.engine, told.runtime, contender.precision, contender.device, told.executed_on,
        told.execution_precision, told.work, told.threads, told.requests, len(taken), latency_of(taken),
        len(taken) * told.batch / seconds, used * 1000 / len(taken), tuple(_round(turn, told.batch) for turn in turns),
    )  # fmt: skip


def _round(turn: Turn, batch: int) -> Round:
    taken = turn.block.milliseconds
    rate, used = len(taken) * batch / turn.block.seconds, turn.cpu_seconds * 1000 / len(taken)
    return Round(latency_of(taken).median, rate, used)


def _with_ratios(row: Row, rows: Sequence[Row], references: Sequence[str], hint: Hint) -> Row:
    """Return a row with how many times as fast it is as the references."""
    ratios = []
    for other in rows:
        if other.name == row.name or other.name not in references:
            continue
        pairs = list(zip(row.rounds, other.rounds, strict=True))
        if hint == "latency":
            each = [theirs.milliseconds / own.milliseconds for own, theirs in pairs]
        else:
            each = [own.pictures_per_second / theirs.pictures_per_second for own, theirs in pairs]
        ratios.append(ratio_of(other.name, each))
    return replace(row, ratios=tuple(ratios))
