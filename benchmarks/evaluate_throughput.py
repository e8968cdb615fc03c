"""How fast `evaluate` goes through pictures, as a ratio to benchmark_app on the same model and device.

    python benchmarks/evaluate_throughput.py MODEL.xml [PICTURES] [--count 400] [--runs 5]

So many JPEG files are made of those in the folder PICTURES, else of those in the package, stretched to the input's
size. In turn, run by run: benchmark_app with the hint `throughput`; `evaluate` on pictures decoded beforehand, with
the lines that it appends; the same with the threads that OpenVINO chooses, in place of one thread a picture, for the
ratio of both is what that costs; and `evaluate` on the files. Prints medians, the ratios of the same run, CPU time a
picture, and the load of the machine.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

from detect_throughput import peer  # beside this file
from PIL import Image

from ssdconvert.accuracy import finders, predictions
from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.accuracy.finders import Finder, opened
from ssdconvert.accuracy.predictions import FORMAT, as_annotated, line_of, predictions_in
from ssdconvert.accuracy.subjects import ModelFile, Subject
from ssdconvert.detector import in_threads, open_detector
from ssdconvert.pictures import pictures_given
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import Pixels


def ours(
    finder: Finder, pictures: Sequence[AnnotatedPicture], decoded: Mapping[int, Pixels]
) -> tuple[float, float]:
    """Return pictures a second, each with its line written, and CPU milliseconds a picture."""

    def read(picture: AnnotatedPicture) -> Pixels:
        return decoded[picture.id]

    path = pictures[0].path.parent / "predictions.jsonl"
    path.unlink(missing_ok=True)
    header = {"format": FORMAT, "models": {}}
    with (
        predictions_in(path, header) as found,
        patch.object(predictions, "as_annotated", read if decoded else as_annotated),
    ):
        started, used = time.perf_counter(), time.process_time()
        for line in in_threads(partial(line_of, "model", finder), pictures, finder.threads):
            found.add(line)
        seconds, cost = time.perf_counter() - started, time.process_time() - used
    return len(pictures) / seconds, 1000 * cost / len(pictures)


def copies(
    folder: Path, sources: Sequence[Path], count: int, size: tuple[int, int]
) -> list[AnnotatedPicture]:
    """Make so many JPEG files of (width, height)."""
    pictures = []
    for number, source in zip(range(count), itertools.cycle(sources), strict=False):
        path = folder / f"{number:04}.jpg"
        Image.open(source).convert("RGB").resize(size).save(path, quality=90)
        pictures.append(AnnotatedPicture(number, path.name, path, *size))
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    arguments = parser.parse_args()
    given = [arguments.pictures] if arguments.pictures else [package_file("package:images")]
    sources = [path for _, path in pictures_given(given)]
    height, width = open_detector(arguments.model).model.input.shape[2:]
    subject = Subject("model", (ModelFile.at(arguments.model),), None)
    rates: dict[str, list[float]] = {
        name: [] for name in ("benchmark_app", "decoded beforehand", "threads as OpenVINO likes", "files")
    }
    costs: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as folder, opened(subject) as finder:
        with patch.object(finders, "one_thread_each", lambda machine, jobs: machine):
            free = finders._deployed(subject, len(os.sched_getaffinity(0)))
        files = copies(Path(folder), sources, arguments.count, (width, height))
        decoded = {picture.id: as_annotated(picture) for picture in files}
        ours(finder, files, decoded)  # warms up
        for _ in range(arguments.runs):
            rates["benchmark_app"].append(peer(arguments.model, arguments.seconds))
            measured = {
                "decoded beforehand": ours(finder, files, decoded),
                "threads as OpenVINO likes": ours(free, files, decoded),
                "files": ours(finder, files, {}),
            }
            for name, (rate, cost) in measured.items():
                rates[name].append(rate)
                costs[name].append(cost)
    print(f"{arguments.count} pictures of {width}x{height}, median of {arguments.runs} runs; "
          f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print("| | pictures/s | ratio to benchmark_app | CPU ms a picture |\n|---|---|---|---|")
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, rates["benchmark_app"], strict=True)]
        cost = f"{statistics.median(costs[name]):.2f}" if costs[name] else ""
        print(f"| {name} | {statistics.median(values):.0f} | {statistics.median(ratios):.2f} | {cost} |")
    pairs = zip(rates["decoded beforehand"], rates["threads as OpenVINO likes"], strict=True)
    print(f"one thread a picture against OpenVINO's choice: {statistics.median(a / b for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
