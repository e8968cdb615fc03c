"""Toolchains: other versions of OpenVINO, each in a virtual environment of its own.

Versions of OpenVINO cannot share an environment, and Caffe conversion needs a protobuf that nothing
else here runs with. A toolchain is made from a requirement file of this folder, on request only, and
driven by `worker.py`, which is told what to do and answers by files.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import RecipeError


@dataclass(frozen=True)
class Kind:
    """What a toolchain is made of; `pythons` are the first and last versions that its wheels are built for.

    `modules` must import in it: the parts that its tasks stand on. `runs` is the version of OpenVINO that runs
    IRs in it, None where it is not for that. `beside` are packages of which a file alone is used and that
    cannot be installed in the same environment: they are unpacked. `program` is the path of that file among them.
    """

    name: str
    title: str
    megabytes: int  # on disk
    pythons: tuple[tuple[int, int], tuple[int, int]]
    modules: tuple[str, ...]
    runs: str | None = None
    beside: str | None = None
    program: str | None = None

    @property
    def requirements(self) -> Path:
        """The file of exact versions that it is made from."""
        return Path(__file__).with_name(f"{self.name}.txt")

    @property
    def requirements_beside(self) -> Path | None:
        """The file of those packages that are unpacked beside it."""
        return self.requirements.with_name(f"{self.beside}.txt") if self.beside else None

    def digest(self) -> str:
        """Return the digest of all that it is made from."""
        files = (self.requirements, self.requirements_beside)
        return hashlib.sha256(b"".join(path.read_bytes() for path in files if path)).hexdigest()

    @property
    def python_range(self) -> str:
        """The versions of Python for people, such as `3.9 to 3.12`."""
        return " to ".join(f"{major}.{minor}" for major, minor in self.pythons)

    def pins(self) -> dict[str, str]:
        """Return version by distribution name."""
        return _pins(self.requirements)

    def pins_beside(self) -> dict[str, str]:
        """Return the same of the packages that are unpacked beside it."""
        return _pins(self.requirements_beside) if self.requirements_beside else {}


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="caffe",
            title="converts Caffe models: Model Optimizer 2024.6.0 with protobuf 3.20.3",
            megabytes=320,
            pythons=((3, 9), (3, 12)),
            modules=("openvino.tools.mo", "openvino.tools.mo.front.caffe.proto.caffe_pb2"),
        ),
        Kind(
            name="ov-2022",
            title="runs IRs in OpenVINO 2022.3.2",
            megabytes=210,
            pythons=((3, 8), (3, 10)),
            modules=("openvino.runtime",),
            runs="2022.3.2",
        ),
        Kind(
            name="ov-2026",
            title="runs IRs in OpenVINO 2026.4.1, and converts without Model Optimizer",
            megabytes=280,
            pythons=((3, 11), (3, 14)),
            modules=("openvino", "openvino.preprocess"),
            runs="2026.4.1",
        ),
        Kind(
            name="myriad",
            title="converts and compiles for MYRIAD: OpenVINO 2021.4.2, myriad_compile of 2021.3.0",
            megabytes=380,
            pythons=((3, 8), (3, 9)),
            modules=("openvino.inference_engine", "mo"),
            beside="myriad-compile",
            program="openvino/libs/myriad_compile",
        ),
    )
}

RUNNING = tuple(name for name, kind in KINDS.items() if kind.runs)


def _pins(requirements: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in requirements.read_text("utf-8").splitlines()]
    return dict(line.split("==") for line in lines if line)


def kind_of(name: str) -> Kind:
    """Return the toolchain's kind; RecipeError for a name that there is none of."""
    if name not in KINDS:
        raise RecipeError(
            f"there is no toolchain {name!r}: expected one of {', '.join(KINDS)}",
            hint="see `ssdconvert toolchain list`",
            stage="toolchain",
        )
    return KINDS[name]
