"""Three right IRs, made once, and the gate that judges what is put in their place."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.build_plan import plan
from ssdconvert.build_result import BuildOptions
from ssdconvert.candidates import candidates_of
from ssdconvert.catalog import Catalog
from ssdconvert.devices import Machine
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.originals import Original
from ssdconvert.pictures import named_pictures
from ssdconvert.pipeline import build
from ssdconvert.report.result import Check, Verification
from ssdconvert.runners import Arrays, Runner
from ssdconvert.samples import Picture, picture_files
from ssdconvert.stages.load import load
from ssdconvert.stages.verify import verify
from ssdconvert.workspace import PRIVATE

from .surgery import MOBILENET, SSD_DEMO, ULTRAFACE, Right

# whose IR is taken for that of another: the two Ultra-Light networks have the same inputs and outputs
OTHERS = {SSD_DEMO: ULTRAFACE, ULTRAFACE: "ultraface-slim-320", MOBILENET: SSD_DEMO}


class Remembering:
    """A runner that runs each input once: an original says the same to every mistake."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.known = runner, dict[str, Arrays]()
        self.runtime, self.executed_on = runner.runtime, runner.executed_on
        self.execution_precision = runner.execution_precision

    def run(self, feeds: Mapping[str, Any]) -> Arrays:
        key = hashlib.sha256(b"".join(array.tobytes() for array in feeds.values())).hexdigest()
        if key not in self.known:
            self.known[key] = self.runner.run(feeds)
        return self.known[key]


class Bench:
    """A right model with a tail, and the gate as a build runs it, on one of its IRs alone."""

    def __init__(self, right: Right, pictures: list[Picture], tail: str) -> None:
        self.right, self.pictures, self.tail = right, pictures, tail

    def judge(self, precision: str, folder: Path, write: Callable[[Right, str, Path], None]) -> Verification:
        """Judge the IR of a precision that `write` puts into a build folder, beside those of other ones."""
        recipe, original = self.right.recipe, self.right.original
        planned = plan(recipe, (precision,), self.tail)
        for each, relative in planned.irs.items():
            target = folder / relative
            target.parent.mkdir(parents=True)
            (write if each == precision else copied)(self.right, each, target)
        made = candidates_of(planned, original, folder, [Machine()])
        # traces are no checks, and take the time of a run
        listed = [replace(c, inner=None) for c in made if (c.hop, c.precision) == ("ir", precision)]
        return verify(recipe, original, listed, self.pictures)


def copied(right: Right, precision: str, target: Path) -> None:
    """Write what is right, byte for byte."""
    for suffix in (".xml", ".bin"):
        shutil.copyfile(right.irs[precision].with_suffix(suffix), target.with_suffix(suffix))


@pytest.fixture(scope="session")
def benches() -> dict[str, Bench]:
    return {}


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of one run share: what one has built is up to date for the others."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sabotage"


@pytest.fixture
def bench_of(request: pytest.FixtureRequest, builds: Path, benches: dict[str, Bench]) -> Callable[..., Bench]:
    """Return the bench of a model by its recipe's name; the Caffe one is skipped without its toolchain."""

    def made(name: str, tail: str) -> tuple[Any, dict[str, Path]]:
        entry = Catalog().find(name)
        entry = entry if name == SSD_DEMO else entry.stand_in()
        fetching = FetchOptions(builds / "cache", None)
        options = BuildOptions(builds / tail / name, fetching, ("FP32", "FP16"), tail=tail)
        build(entry, options, until="convert")
        relative = plan(entry.recipe, options.precisions).irs
        return entry, {precision: options.output / path for precision, path in relative.items()}

    def bench(name: str, tail: str = "nms") -> Bench:
        if name == MOBILENET:
            request.getfixturevalue("caffe_toolchain")
        key = f"{tail}/{name}"
        if key not in benches:
            entry, irs = made(name, tail)
            original, other = _original(entry, builds / key), made(OTHERS[name], tail)[1]
            pictures = [file.opened(entry.recipe.input) for file in picture_files(named_pictures(entry))]
            benches[key] = Bench(Right(name, entry.recipe, original, irs, other), pictures, tail)
        return benches[key]

    return bench


def _original(entry: Any, folder: Path) -> Original:
    if entry.recipe.name == SSD_DEMO:
        from ssdconvert.resources import package_file

        files = {file.name: package_file(file.urls[0]) for file in entry.recipe.source.files}
    else:
        files = {file.name: folder / PRIVATE / "stand-in" / file.name for file in entry.recipe.source.files}
    original = load(entry.recipe, files)
    return replace(original, runner=Remembering(original.runner))


# what a file promises, what its outputs hold in a run, then each level: the order in which the gate looks
FILE = ("whole", "input", "outputs", "weights", "description", "suppression", "rounding")
ORDER = (
    *FILE,
    "loads",
    "runs",
    "broken promises",
    "heads",
    "own heads",
    "detections",
    "nearer than any mistake",
)


def caught_by(result: Verification) -> str:
    """Return the names of the checks that failed, as the documentation has them."""
    return ", ".join(sorted({_name(c) for c in result.checks if c.status == "fail"}, key=ORDER.index))


def _name(check: Check) -> str:
    if check.output in ("own heads", "nearer than any mistake"):
        return check.output
    return check.metric if check.level == "contract" else check.level
