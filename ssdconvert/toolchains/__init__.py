"""Toolchains: other versions of OpenVINO, each in a virtual environment of its own.

Versions of OpenVINO cannot share an environment, and Caffe conversion needs a protobuf that nothing
else here runs with. A toolchain is made from a requirement file of this folder, on request only, and
driven by `worker.py`, which is told what to do and answers by files.
"""

from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import RecipeError


@dataclass(frozen=True)
class Kind:
    """What a toolchain is made of; `pythons` are the first and last versions that its wheels are built for.

    `modules` must import in it: the parts that its tasks stand on.
    """

    name: str
    title: str
    megabytes: int  # on disk
    pythons: tuple[tuple[int, int], tuple[int, int]]
    modules: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        """The file of exact versions that it is made from."""
        return Path(__file__).with_name(f"{self.name}.txt")

    @property
    def python_range(self) -> str:
        """The versions of Python for people, such as `3.9 to 3.12`."""
        return " to ".join(f"{major}.{minor}" for major, minor in self.pythons)

    def pins(self) -> dict[str, str]:
        """Return version by distribution name."""
        lines = [line.partition("#")[0].strip() for line in self.requirements.read_text("utf-8").splitlines()]
        return dict(line.split("==") for line in lines if line)


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
    )
}


def kind_of(name: str) -> Kind:
    """Return the toolchain's kind; RecipeError for a name that there is none of."""
    if name not in KINDS:
        raise RecipeError(
            f"there is no toolchain {name!r}: expected one of {', '.join(KINDS)}",
            hint="see `ssdconvert toolchain list`",
            stage="toolchain",
        )
    return KINDS[name]
