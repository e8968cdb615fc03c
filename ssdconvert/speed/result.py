"""What a comparison of speeds measured: a row for each contender, and how they stand to each other."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Hint = Literal["latency", "throughput"]


@dataclass(frozen=True)
class Latency:
    """Milliseconds from handing an input over until its outputs are there, over all rounds.

    A percentile is None where so few inferences were timed that it would be the slowest of them.
    """

    minimum: float
    mean: float
    median: float
    p90: float | None
    p95: float | None
    p99: float | None
    maximum: float


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the row `to`: the median of the ratios of each round.

    `low` .. `high` holds the true median with the probability `coverage`, whatever the distribution of the noise;
    see `spread.median_interval`.
    """

    to: str
    value: float
    low: float
    high: float
    coverage: float

    @property
    def differs(self) -> bool:
        """Whether 1 lies outside the interval, where there were rounds enough to say so."""
        return self.coverage >= 0.95 and not self.low <= 1 <= self.high


@dataclass(frozen=True)
class Round:
    """One turn of a contender: the median latency in milliseconds, pictures a second, CPU time an inference."""

    milliseconds: float
    pictures_per_second: float
    cpu_milliseconds: float


@dataclass(frozen=True)
class Row:
    """One contender. `work` is what an inference of it ends in: detections, or raw heads.

    `threads` is None where the device does not tell; `requests` run at once. `cpu_milliseconds` is the time of all
    cores together that an inference took from this process, what threads spin while they wait included. `ratios` are
    those to other rows by latency, with the hint `throughput` by pictures a second.
    """

    name: str
    engine: str
    runtime: str
    precision: str
    device: str
    executed_on: str
    execution_precision: str
    work: str
    threads: int | None
    requests: int
    inferences: int
    latency: Latency
    pictures_per_second: float
    cpu_milliseconds: float
    rounds: tuple[Round, ...]
    ratios: tuple[Ratio, ...] = ()

    def ratio_to(self, name: str) -> Ratio | None:
        """Return the ratio to a row; None where it is not told, as that to itself."""
        return next((ratio for ratio in self.ratios if ratio.to == name), None)


@dataclass(frozen=True)
class Skipped:
    """A contender that is not there, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Surroundings:
    """The machine while it was measured, without names of its own.

    `load` is the average over the last minute before the start; `others` the share of the cores that other processes
    took meanwhile, `stolen` that which the host gave to other machines. None is what the system does not tell.
    """

    cpu: str
    cores: int
    load: float | None
    others: float | None
    stolen: float | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """What was measured: `seconds` for each contender, over all rounds. `references` are the rows ratios are to."""

    hint: Hint
    seconds: float
    rounds: int
    rows: tuple[Row, ...]
    references: tuple[str, ...]
    surroundings: Surroundings
    model: str = ""
    picture: str = ""
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    stand_in: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the document of `bench --json`, which is bench.json too."""
        document = {"schema": 1, "model": self.model, **dataclasses.asdict(self)}
        for row, own in zip(document["rows"], self.rows, strict=True):
            for told, ratio in zip(row["ratios"], own.ratios, strict=True):
                told["differs"] = ratio.differs
        return document
