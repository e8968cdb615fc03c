"""What a build is asked for, and what it tells when it has ended."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdconvert.devices import Machine
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.quantisation.options import AS_USUAL, CalibrationOptions

if TYPE_CHECKING:
    from ssdconvert.report.result import Verification


@dataclass(frozen=True)
class BuildOptions:
    """What a build is asked for beside its recipe. `precisions` None: the recipe's."""

    output: Path
    fetch: FetchOptions
    precisions: tuple[str, ...] | None = None
    machines: tuple[Machine, ...] = (Machine(),)
    required_devices: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()  # stages that run even when they are up to date
    trace: bool = False  # compare inner tensors at every hop
    images: tuple[tuple[str, Path], ...] = ()  # pictures to verify on, beside the recipe's
    toolchains: tuple[str, ...] = ()  # other versions of OpenVINO to verify in
    tail: str = "nms"  # what is put behind the heads, see ssdconvert.outputs.TAILS
    converter: str = "mo"  # what makes IR of ONNX, see ssdconvert.build_plan.CONVERTERS
    bake: str = "values"  # how much preprocessing is inside, see ssdconvert.build_plan.BAKES
    verify: bool = True  # without it the build ends at the IR, and nothing is run to prove anything
    calibration: CalibrationOptions = AS_USUAL  # for precisions that are made by it
    profile: bool = False  # tell what each stage took


@dataclass(frozen=True)
class StageResult:
    """How a stage ended. `status` is done, cached, skipped or failed; `reason` why it ran or did not."""

    name: str
    status: str
    seconds: float
    reason: str = ""
    summary: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `build --json`."""
        return {
            "name": self.name,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "summary": self.summary,
        }


@dataclass
class BuildResult:
    """What a build made. `verification` is None when it stopped before the gate."""

    recipe: str
    output: Path
    stages: list[StageResult] = field(default_factory=list)
    artefacts: list[dict[str, Any]] = field(default_factory=list)
    verification: "Verification | None" = None
    profile: tuple[dict[str, Any], ...] = ()  # see ssdconvert.build_profile; empty unless asked for

    @property
    def verdict(self) -> str:
        """The gate's verdict, or `unverified`."""
        return self.verification.verdict if self.verification else "unverified"

    def to_json(self) -> dict[str, Any]:
        """Return the document of `build --json`."""
        gated = self.verification is not None
        return {
            **({"profile": list(self.profile)} if self.profile else {}),
            "recipe": self.recipe,
            "verdict": self.verdict,
            "output": str(self.output),
            "stages": [stage.to_json() for stage in self.stages],
            "artifacts": self.artefacts,
            "report": str(self.output / "report.json") if gated else None,
            "manifest": str(self.output / "manifest.json") if gated else None,
        }
