"""What verification costs beside the forward passes that it needs, and its peak of memory.

    python benchmarks/verify_cost.py BUILD [--pictures 20]

BUILD is the folder of a build (`ssdconvert build ssd-demo`; its recipe needs no more than the cache). The gate
judges that build on so many pictures, made of those in the package, and each call of a runner's `run` is timed. Prints
wall time, the sum of the forward passes, the time in which engines read and compile the files, what is left, and
the ratio of wall time to forward passes, with and without reading and compiling.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.build_plan import plan
from ssdconvert.candidates import candidates_of
from ssdconvert.catalog import Catalog
from ssdconvert.devices import Machine
from ssdconvert.pictures import read_picture
from ssdconvert.recipe import STAND_IN, Recipe
from ssdconvert.resources import package_file
from ssdconvert.samples import PictureFile
from ssdconvert.ssd.preprocess import Pixels
from ssdconvert.stages.load import load
from ssdconvert.stages.verify import verify

NAMES = ("portrait", "shapes-1", "shapes-2", "shapes-3")


class Stopwatch:
    """Sums the wall time of calls."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - started
                self.calls += 1

        return call


def pictures(count: int) -> Iterator[PictureFile]:
    """Yield those of the package, each time shifted by some columns."""
    for index in range(count):

        def read(index: int = index) -> Pixels:
            pixels = read_picture(package_file(f"package:images/{NAMES[index % len(NAMES)]}.jpg"))
            return np.roll(pixels, 7 * index, axis=1)

        yield PictureFile(f"{index}", read)


def recipe_and_files(build: Path) -> tuple[Recipe, dict[str, Path]]:
    """Return the recipe of a build and the original's files."""
    manifest = json.loads((build / "manifest.json").read_text("utf-8"))
    name = manifest["recipe"]["name"]
    entry = Catalog(()).find(name.removesuffix(STAND_IN))
    if name.endswith(STAND_IN):
        entry = entry.stand_in()
        return entry.recipe, {
            f.name: build / ".ssdconvert/stand-in" / f.name for f in entry.recipe.source.files
        }
    return entry.recipe, {f.name: package_file(f.urls[0]) for f in entry.recipe.source.files}


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--pictures", type=int, default=20)
    arguments = parser.parse_args()
    recipe, files = recipe_and_files(arguments.build)
    original = load(recipe, files)
    forward, opening = Stopwatch(), Stopwatch()
    original.runner.run = forward.timed(original.runner.run)  # type: ignore[method-assign]

    def opened(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            runner = opening.timed(function)()
            runner.run = forward.timed(runner.run)
            return runner

        return call

    candidates = candidates_of(plan(recipe, None), original, arguments.build, [Machine()])
    listed = (replace(candidate, open=opened(candidate.open)) for candidate in candidates)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    result = verify(recipe, original, listed, pictures(arguments.pictures))
    wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rest = wall - forward.seconds - opening.seconds
    print(f"{recipe.name}: {result.verdict} on {arguments.pictures} pictures, {len(result.checks)} checks")
    print(f"wall {wall:.2f} s = {forward.calls} forward passes {forward.seconds:.2f} s + reading and compiling "
          f"{opening.seconds:.2f} s + the rest {rest:.2f} s")  # fmt: skip
    print(f"ratio to the forward passes {wall / forward.seconds:.3f}, without reading and compiling "
          f"{(wall - opening.seconds) / forward.seconds:.3f}")  # fmt: skip
    print(f"peak of memory {peak / 1e6:.2f} GB, {before / 1e6:.2f} GB before")


if __name__ == "__main__":
    main()
