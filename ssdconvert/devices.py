"""Names of OpenVINO devices as people write them, and what a model runs on.

A device is one of a kind (CPU, GPU, NPU, MYRIAD), with a number where there are several (GPU.1), or a way to share work
among such: AUTO and HETERO take what the first one cannot to the next, MULTI spreads inputs over all, BATCH collects
them for one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssdconvert.errors import RecipeError

SHARING = ("AUTO", "MULTI", "HETERO", "BATCH")
KINDS = ("CPU", "GPU", "NPU", "MYRIAD")
IN_HALF_PRECISION = ("GPU", "NPU")  # kinds that compute in f16 unless they are told otherwise, or always
_WORD = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")
WHAT_IT_NEEDS = {
    "GPU": "install the OpenCL runtime of an Intel GPU (Debian and Ubuntu: intel-opencl-icd)",
    "NPU": "install the driver of an Intel NPU with Level Zero (linux-npu-driver, level-zero)",
    "MYRIAD": "OpenVINO's wheels hold MYRIAD up to 2021.4: see `ssdconvert toolchain add myriad`",
}


@dataclass(frozen=True)
class Machine:
    """What a model runs on: an OpenVINO device, libraries with more operations, settings of the device."""

    device: str = "CPU"
    extensions: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceName:
    """A device, or several that share work: `sharing` is how, empty for one alone.

    `parts` are the devices in their order, none for AUTO alone, which takes any but those `left_out`.
    """

    sharing: str
    parts: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.sharing:
            return self.parts[0]
        listed = ",".join([*self.parts, *(f"-{name}" for name in self.left_out)])
        return f"{self.sharing}:{listed}" if listed else self.sharing

    @property
    def names(self) -> tuple[str, ...]:
        """The parts without the numbers of requests or the sizes of batches that follow some."""
        return tuple(part.partition("(")[0] for part in self.parts)


def device_name(text: str) -> DeviceName:
    """Return what a name says, upper case and spaces aside; RecipeError for one that is misspelt."""
    name = "".join(text.upper().split())
    sharing, colon, listed = name.partition(":")
    if sharing not in SHARING:
        return DeviceName("", (_known(name, text),))
    parts = tuple(listed.split(",")) if colon else ()
    if "" in parts or (not parts and sharing != "AUTO"):
        raise _refused(text, f"it names no device after {sharing}:")
    if sharing == "BATCH" and len(parts) > 1:
        raise _refused(text, "BATCH takes one device")
    left_out = tuple(part[1:] for part in parts if part.startswith("-") and sharing == "AUTO")
    kept = tuple(part for part in parts if part[1:] not in left_out or not part.startswith("-"))
    for part in (*kept, *left_out):
        _known(part.partition("(")[0], text)
    return DeviceName(sharing, kept, left_out)


def kind_of(name: str) -> str:
    """Return the kind of a device without its number: GPU of GPU.1."""
    return name.partition(".")[0]


def computes_in_half(text: str) -> bool:
    """Whether a device, or one of those that share its work, is of a kind that computes in f16."""
    return any(kind_of(name) in IN_HALF_PRECISION for name in device_name(text).names)


def _known(name: str, text: str) -> str:
    """Return the name of one device; RecipeError unless it, or a plugin of OpenVINO's, is known."""
    if kind_of(name) not in KINDS and not (_WORD.fullmatch(name) and _registered(kind_of(name))):
        raise _refused(text, f"OpenVINO knows no device {name!r}")
    return name


def _registered(kind: str) -> bool:
    """Ask OpenVINO whether it has a plugin of a name, be it one that does not load."""
    import openvino

    try:
        return bool(openvino.Core().get_versions(kind))
    except RuntimeError:
        return True


def _refused(text: str, why: str) -> RecipeError:
    return RecipeError(
        f"{text!r} is no device: {why}",
        hint=f"give {', '.join(KINDS)}, with a number such as GPU.1, or several such as AUTO:GPU,CPU",
        stage="device",
    )
