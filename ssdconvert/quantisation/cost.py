"""What a quantised IR costs, as it was measured on its file, and the gate's check of it."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ssdconvert.report.result import Check, judged
from ssdconvert.workspace import PRIVATE, digest_of, write_json

COST = f"{PRIVATE}/quantisation.json"


@dataclass(frozen=True)
class Cost:
    """How much lower `metric` is than that of the FP32 IR, both as fractions, and how far it may be.

    Both ran on `pictures` in `runtime`; `samples` others, or the same, were calibrated on, as `scheme` says.
    `left_in_float` are the layers that were not quantised. `sha256` are the digests of the IR's .xml and .bin.
    """

    metric: str
    reference: float
    value: float
    limit: float
    pictures: int
    samples: int
    scheme: str
    left_in_float: tuple[str, ...]
    runtime: str
    sha256: tuple[str, str]

    @property
    def drop(self) -> float:
        """How much lower the metric is, in points: hundredths."""
        return 100 * (self.reference - self.value)

    @property
    def kept(self) -> bool:
        """Whether it costs no more than it may."""
        return self.reference - self.value <= self.limit

    @property
    def told(self) -> str:
        """The cost in words."""
        count = len(self.left_in_float)
        floats = f", {count} layer{'s' if count > 1 else ''} left in FP32" if count else ""
        return (
            f"{self.metric} {100 * self.value:.2f} of {100 * self.reference:.2f} on {self.pictures} pictures: "
            f"{self.drop:.2f} points lower (limit {100 * self.limit:g}){floats}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a manifest; its artifacts have the digests."""
        return {key: value for key, value in asdict(self).items() if key != "sha256"}

    def write(self, folder: Path) -> None:
        """Write it into a build folder."""
        write_json(folder / COST, asdict(self))


def read_cost(folder: Path) -> Cost:
    """Read what `Cost.write` has written."""
    document: dict[str, Any] = json.loads((folder / COST).read_text("utf-8"))
    return Cost(**document | {key: tuple(document[key]) for key in ("left_in_float", "sha256")})


def digests_of(xml: Path) -> tuple[str, str]:
    """Return the digests of an IR's pair of files."""
    return digest_of(xml), digest_of(xml.with_suffix(".bin"))


def accuracy_check(cost: Cost, xml: Path) -> Check:
    """Return the check of what the IR at `xml` costs; inconclusive where another file was measured."""
    check = Check(
        "ir", "accuracy", "CPU", cost.runtime, "INT8", f"{cost.pictures} calibration pictures", cost.metric,
        "drop, points", None, None, None, "inconclusive", executed_on="CPU",
    )  # fmt: skip
    if digests_of(xml) != cost.sha256:
        return replace(check, reason="another file was measured: build it anew")
    floats = {"layers left in FP32": float(len(cost.left_in_float))}
    measured = {"FP32": 100 * cost.reference, "INT8": 100 * cost.value}
    return replace(check, statistics=measured | floats, **judged(cost.drop, round(100 * cost.limit, 9)))
