"""The result of a verification: one type, which every writer of reports reads."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from ssdconvert.trace import Trace, TracePoint

Status = Literal["pass", "fail", "skipped", "inconclusive"]
Level = Literal["heads", "detections", "control", "contract", "accuracy"]
SCHEMA_VERSION = 1
SIMULATED = "simulated"  # the hop of what is foreseen on a device that is not there: never a measurement
SHIPPED = ("ir", "model")  # hops whose file is deployed: an IR of a build, a file that somebody gives
HISTOGRAM_START = -10  # the decade of its first bin; float32 tells 1e-7 from nothing
BINS_A_DECADE, BINS = 2, 20


@dataclass(frozen=True)
class Check:
    """One number that was compared with its limit.

    `hop` is what the candidate is (`onnx`, `simplified`, `ir`, and `model`, which somebody gave; `original`,
    `recorded` and `twin` are evidence that came with the original, `simulated` is an IR as a `device` that is
    not there would compute it), `input` the picture, `output` the
    tensor. `required` is the smallest limit that would have passed. `value` is None where nothing was
    measured, or where the measured value is not a number. `executed_on` is the device that really ran
    (AUTO and MULTI fall back silently) and `execution_precision` the type that it computed in. `histogram`
    counts the relative errors of a head's numbers by size: bin i those from 10**(-10 + i/2) to
    10**(-9.5 + i/2), the first also all smaller ones, the last all larger ones; it is empty where there is
    nothing to count.
    """

    hop: str
    level: Level
    device: str
    runtime: str
    precision: str
    input: str
    output: str
    metric: str
    value: float | None
    limit: float | None
    required: float | None
    status: Status
    reason: str = ""
    executed_on: str = ""
    execution_precision: str = ""
    statistics: Mapping[str, float] = field(default_factory=dict)
    histogram: tuple[int, ...] = ()

    @property
    def candidate(self) -> tuple[str, str, str, str]:
        """What was judged: hop, precision, device, runtime."""
        return self.hop, self.precision, self.device, self.runtime


@dataclass(frozen=True)
class Box:
    """A detection: `box` is x1, y1, x2, y2 in 0..1 of the network's input."""

    label: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Shown:
    """What was detected in one picture, for a report to draw.

    `candidate` says in words what made `converted`, which is None where its outputs break their contract.
    """

    input: str
    candidate: str
    original: tuple[Box, ...]
    converted: tuple[Box, ...] | None


@dataclass(frozen=True)
class HopTrace:
    """The tensors of a candidate beside those of the file that it was made from, on one input.

    `summed`: the limit is of sums of errors, as for quantised models. `reason` says why nothing was compared.
    """

    hop: str
    precision: str
    device: str
    input: str
    limit: float
    summed: bool = False
    trace: Trace = field(default_factory=Trace)
    reason: str = ""

    @property
    def divergence(self) -> TracePoint | None:
        """The first tensor over the limit; as many as its `depth` before it are good."""
        return self.trace.first_over(self.limit, self.summed)

    def error(self, point: TracePoint) -> float | None:
        """Return the error of a point that the limit is for."""
        return point.mean_error if self.summed else point.max_error

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `traces`."""
        document = asdict(self)
        document |= document.pop("trace")
        found = self.divergence
        return document | {"divergence": asdict(found) if found else None}


@dataclass(frozen=True)
class Verification:
    """All checks of one model against its original, and what they add up to.

    `reference_detections` counts what the original detects on all pictures; None where it ends in tensors
    of which nobody says what they mean. `against` is the file that was given to compare with, `recipe` what
    says how it is done if that was given too: a build's recipe is its `model`. `settings` are those that a
    user gave, by device, and `extensions` the names of libraries with more operations.
    """

    model: str
    checks: tuple[Check, ...]
    reference: str
    pictures: tuple[str, ...]
    reference_detections: int | None
    stand_in: bool = False
    shown: tuple[Shown, ...] = ()
    traces: tuple[HopTrace, ...] = ()
    warnings: tuple[str, ...] = ()
    against: str = ""
    recipe: str = ""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`pass`, `fail`, or `inconclusive` when the checks could not have failed."""
        return verdict_of(self.checks, self.reference_detections)

    @property
    def skipped(self) -> bool:
        """Whether a device that was asked for was not there to be checked."""
        return any(check.status == "skipped" and not check.runtime for check in self.checks)

    @property
    def reason(self) -> str:
        """Why the verdict is not `pass`, in one sentence; empty when it is."""
        failed = [check for check in self.checks if check.status == "fail"]
        if failed:
            return _failure(failed, self.checks)
        if self.reference_detections == 0:
            return "the original detects nothing on any picture, so that equal detections prove nothing"
        for check in self.checks:
            if check.status == "inconclusive":
                return f"{check.output}: {check.reason or 'inconclusive'}"
        if self.verdict == "inconclusive":
            absent = [check.reason for check in self.checks if check.status == "skipped"]
            return f"no IR was run: {absent[0]}" if absent else "no IR was run"
        return ""

    def _named(self) -> dict[str, str]:
        if not self.against:
            return {"recipe": self.model}
        return {
            "model": self.model,
            "against": self.against,
            **({"recipe": self.recipe} if self.recipe else {}),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document of `verify --json` and of report.json."""
        return {
            "schema": SCHEMA_VERSION,
            **self._named(),
            **({"stand_in": True} if self.stand_in else {}),
            "verdict": self.verdict,
            "reason": self.reason,
            "reference": self.reference,
            "pictures": list(self.pictures),
            "reference_detections": self.reference_detections,
            "checks": [asdict(check) for check in self.checks],
            "shown": [asdict(shown) for shown in self.shown],
            "traces": [trace.to_json() for trace in self.traces],
            "warnings": list(self.warnings),
            "settings": {device: dict(settings) for device, settings in self.settings.items()},
            "extensions": list(self.extensions),
        }


class Judged(Protocol):
    """The part of a check that a verdict depends on."""

    @property
    def hop(self) -> str:
        """What was judged."""

    @property
    def status(self) -> str:
        """What came of it."""


def verdict_of(checks: Iterable[Judged], reference_detections: int | None) -> str:
    """Return the verdict that checks add up to, see `Verification.verdict`."""
    found = {(check.status, check.hop in SHIPPED) for check in checks}
    statuses = {status for status, _ in found}
    if "fail" in statuses:
        return "fail"
    if reference_detections == 0 or ("pass", True) not in found or "inconclusive" in statuses:
        return "inconclusive"
    return "pass"


def verification_from_json(document: Mapping[str, Any]) -> Verification:
    """Return what `to_json` wrote."""
    return Verification(
        document.get("model") or document["recipe"],
        tuple(
            Check(**check | {"histogram": tuple(check.get("histogram", ()))}) for check in document["checks"]
        ),
        document["reference"],
        tuple(document["pictures"]),
        document["reference_detections"],
        document.get("stand_in", False),
        tuple(_shown(entry) for entry in document.get("shown", ())),
        tuple(_trace_from_json(entry) for entry in document.get("traces", ())),
        tuple(document.get("warnings", ())),
        document.get("against", ""),
        document.get("recipe", "") if "model" in document else "",
        document.get("settings", {}),
        tuple(document.get("extensions", ())),
    )


def _shown(entry: Mapping[str, Any]) -> Shown:
    original, converted = (
        None if boxes is None else tuple(Box(b["label"], b["score"], tuple(b["box"])) for b in boxes)
        for boxes in (entry["original"], entry["converted"])
    )
    return Shown(entry["input"], entry["candidate"], original or (), converted)


def _trace_from_json(entry: Mapping[str, Any]) -> HopTrace:
    fields = {key: value for key, value in entry.items() if key not in ("points", "skipped", "divergence")}
    points = (TracePoint(**{**point, "shape": tuple(point["shape"])}) for point in entry["points"])
    return HopTrace(**fields, trace=Trace(tuple(points), entry["skipped"]))


def judged(value: float, limit: float, at_least: bool = False) -> dict[str, Any]:
    """Return `value`, `limit`, `required` and `status` of a check; `at_least` turns the limit round."""
    passed = math.isfinite(value) and (value >= limit if at_least else value <= limit)
    number = float(value) if math.isfinite(value) else None
    return {
        "value": number,
        "limit": limit,
        "required": number,
        "status": "pass" if passed else "fail",
        "reason": "" if number is not None else "the value is not a finite number",
    }


def _failure(failed: list[Check], checks: Iterable[Check]) -> str:
    """Name the first hop that failed, its worst check, and the hops before it that are good."""
    first = failed[0]
    good = []
    for check in checks:
        if check.candidate == first.candidate:
            break
        name = short_name(check.hop, check.precision)
        if name not in good and check.status == "pass":
            good.append(name)
    where = f" on {first.input}" if first.input else ""
    if first.level == "contract":
        text = (
            f"{describe(first.candidate)}: {first.output or 'outputs'}{where}: {first.metric}: {first.reason}"
        )
    else:
        number = "not a number" if first.value is None else f"{first.value:.3g}"
        limit = "" if first.limit is None else f", limit {first.limit:g}"
        text = f"{describe(first.candidate)}: {first.output or first.level}{where}: {first.metric} is {number}{limit}"
        text += f" ({first.reason})" if first.reason else ""
    return text + (f"; good before it: {', '.join(good)}" if good else "")


def short_name(hop: str, precision: str) -> str:
    """Return what a hop leads to, in words."""
    names = {"onnx": "exported ONNX", "simplified": "simplified ONNX", "control": "negative controls"}
    names |= {
        "original": "the original's own NMS",
        "recorded": "recorded outputs",
        "twin": "published ONNX twin",
        "input": "pictures",
        "myriad": f"{precision} IR v10 for MYRIAD",
        SIMULATED: f"{precision} IR simulated in f16",
    }
    return names.get(hop, f"{precision} {'model' if hop == 'model' else 'IR'}")


def divergence_text(hop: HopTrace) -> str:
    """Return what a trace found, in one sentence."""
    name = f"{short_name(hop.hop, hop.precision)} on {hop.device}"
    points, first = hop.trace.points, hop.divergence
    if hop.reason or not points:
        return f"{name}: no tensors were compared: {hop.reason or 'none has a name that both files have'}"
    metric = "mean error" if hop.summed else "max error"
    if first is not None:
        error = hop.error(first)
        return (
            f"{name}: first diverging tensor on {hop.input}: {first.tensor} ({first.op}), {metric} "
            f"{'not a number' if error is None else f'{error:.3g}'}, limit {hop.limit:g}; "
            + (f"the {first.depth} tensors before it are good" if first.depth else "no tensor is before it")
        )
    worst = max(points, key=lambda point: hop.error(point) or 0.0)
    return (
        f"{name}: all {len(points)} tensors are good on {hop.input}, the worst {worst.tensor} ({worst.op}): "
        f"{metric} {hop.error(worst):.3g}, limit {hop.limit:g}"
    )


def describe(candidate: tuple[str, str, str, str]) -> str:
    """Return a candidate in words, such as `FP16 IR on CPU (openvino 2024.6.0)`."""
    hop, precision, device, runtime = candidate
    where = f"{'for' if hop == SIMULATED else 'on'} {device}"
    name = f"{short_name(hop, precision)} {where}"
    return f"{name} ({runtime})" if runtime else name
