"""MYRIAD: the Neural Compute Stick 2, which OpenVINO left out of its wheels after 2021.4.

It reads IR v10, which today's Model Optimizer does not write: a build makes a second IR for it, in the
toolchain `myriad`, and a blob, compiled without the stick. `Compiled` tells what was shown of that.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ssdconvert.report.result import Verification
from ssdconvert.workspace import PRIVATE, write_json

TOOLCHAIN = "myriad"
FOLDER = "MYRIAD"
PRECISION = "FP16"  # the stick has no other
FACTS = f"{PRIVATE}/myriad.json"


def is_myriad(device: str) -> bool:
    """Whether a device is the stick itself, or one of several such as MYRIAD.1.1-ma2480."""
    return device.partition(".")[0] == "MYRIAD"


def files_for_myriad(name: str) -> list[str]:
    """Return the relative paths of what a build makes for the stick: IR v10, and the blob compiled of it."""
    return [f"{FOLDER}/{name}.xml", f"{FOLDER}/{name}.bin", f"{FOLDER}/{name}.blob"]


def delete_for_myriad(name: str, folder: Path) -> None:
    """Delete from a build's `folder` what an earlier build made for the stick, and what was told of it."""
    for path in (*files_for_myriad(name), FACTS):
        (folder / path).unlink(missing_ok=True)


def open_without_a_stick(verification: Verification) -> Verification:
    """Return a verification that was asked for sticks alone: where none ran, it is open whatever the CPU says."""
    if any(is_myriad(check.device) and check.runtime for check in verification.checks):
        return verification
    checks = (
        replace(check, output=check.device, status="inconclusive")
        if is_myriad(check.device) and check.status == "skipped"
        else check
        for check in verification.checks
    )
    return replace(verification, checks=tuple(checks))


@dataclass(frozen=True)
class Compiled:
    """What OpenVINO for the stick says of an IR.

    `unsupported` are operations, "name (type)", that `query_network` does not name among `operations` of them: it goes
    by names, and leaves out some that compile. `blob` is the size in bytes, 0 where it does not
    compile, `problem` the reason. Without operations there is no IR either: Model Optimizer refuses the model.
    """

    operations: int
    unsupported: tuple[str, ...]
    blob: int
    problem: str

    def write(self, path: Path) -> None:
        """Keep it for the stages that come later."""
        write_json(path, asdict(self))

    def shown(self, reason: str) -> str:
        """Say what was shown, where no stick was found for the `reason`."""
        if not self.operations:
            return f"cannot be made for MYRIAD: {self.problem}"
        if not self.blob:
            return f"does not compile for MYRIAD: {self.problem}"
        supported = self.operations - len(self.unsupported)
        return (
            "compiles for MYRIAD, numerics checked on CPU 2021.4.2, not run on a device "
            f"(blob of {self.blob} bytes by myriad_compile 2021.3.0; 2021.4.2 names {supported} of {self.operations} "
            f"operations supported{_listed(self.unsupported)}; {reason})"
        )


def read_compiled(path: Path) -> Compiled:
    """Return what `Compiled.write` wrote."""
    document = json.loads(path.read_text("utf-8"))
    return Compiled(**document | {"unsupported": tuple(document["unsupported"])})


def _listed(names: Sequence[str]) -> str:
    return f", not {', '.join(names)}" if names else ""
