"""How fast `detect` goes through a folder of pictures, as a ratio to benchmark_app on the same model and device.

    python benchmarks/detect_throughput.py MODEL.xml [PICTURES] [--count 200] [--runs 5]

MODEL.xml is that of a build (`ssdconvert build ultraface-rfb-320`). So many JPEG files are made of those in the
folder PICTURES, else of those in the package: stretched to the input's size, or with --as-they-are copied. In turn,
run by run: benchmark_app with the hint `throughput`; the model alone in the queue that `detect` uses; `detect` on
pictures decoded beforehand, which leaves resizing, the model, reading the outputs; and `detect` on the files. Prints
medians, the ratios to benchmark_app of the same run, CPU time a picture, and the load of the machine.
"""

import argparse
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssdconvert.detector import Detector, detected, open_detector
from ssdconvert.output_rows import Rows
from ssdconvert.pictures import pictures_given, read_picture
from ssdconvert.resources import package_file
from ssdconvert.ssd.preprocess import Pixels
from ssdconvert.stages.detect import DEFAULT_THRESHOLD, Found, in_words


def peer(model: Path, seconds: int) -> float:
    """Return what benchmark_app says, pictures a second."""
    command = [Path(sys.executable).parent / "benchmark_app", "-m", model, "-d", "CPU", "-hint", "throughput"]
    told = subprocess.run([*command, "-t", str(seconds)], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"Throughput:\s+([\d.]+)", told)[1])  # type: ignore[index]


def ours(detector: Detector, items: Sequence[Any], read: Callable[[Any], Pixels]) -> tuple[float, float]:
    """Return pictures a second, and CPU milliseconds a picture."""

    def finish(item: Any, pixels: Pixels, rows: Rows) -> list[Found]:
        found = rows.detections(detector.model.first_label, detector.model.sides)
        return in_words(found.above(DEFAULT_THRESHOLD), detector.model, pixels)

    started, used = time.perf_counter(), time.process_time()
    done = [one for one in detected(detector, items, read, finish) if isinstance(one, list)]
    assert len(done) == len(items)
    return len(items) / (time.perf_counter() - started), (time.process_time() - used) * 1000 / len(items)


def alone(detector: Detector, count: int) -> tuple[float, float]:
    """Return the same of one black picture, again and again."""
    feed = detector.batch([detector.prepared(np.zeros((8, 8, 3), np.uint8))])
    started, used = time.perf_counter(), time.process_time()
    for future in [detector.queue.submit(feed) for _ in range(count)]:
        detector.queue.outputs(future)
    return count / (time.perf_counter() - started), (time.process_time() - used) * 1000 / count


def copies(folder: Path, sources: Sequence[Path], count: int, size: tuple[int, int] | None) -> list[Path]:
    """Make a folder of so many JPEG files, of (width, height) or as they are."""
    for index, source in zip(range(count), itertools.cycle(sources), strict=False):
        target = folder / f"{index:04}.jpg"
        if size:
            Image.open(source).convert("RGB").resize(size).save(target, quality=90)
        else:
            shutil.copyfile(source, target)
    return sorted(folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--as-they-are", action="store_true")
    arguments = parser.parse_args()
    given = [arguments.pictures] if arguments.pictures else [package_file("package:images")]
    sources = [path for _, path in pictures_given(given)]
    detector = open_detector(arguments.model, many=True)
    height, width = detector.model.input.shape[2:]
    size = None if arguments.as_they_are else (width, height)
    rates: dict[str, list[float]] = {
        name: [] for name in ("benchmark_app", "the model alone", "decoded beforehand", "files")
    }
    costs: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as folder:
        files = copies(Path(folder), sources, arguments.count, size)
        decoded = [read_picture(path) for path in files]
        ours(detector, decoded, lambda pixels: pixels)  # warms up
        for _ in range(arguments.runs):
            rates["benchmark_app"].append(peer(arguments.model, arguments.seconds))
            measured = {
                "the model alone": alone(detector, arguments.count),
                "decoded beforehand": ours(detector, decoded, lambda pixels: pixels),
                "files": ours(detector, files, read_picture),
            }
            for name, (rate, cost) in measured.items():
                rates[name].append(rate)
                costs[name].append(cost)
    kind = "as they are" if arguments.as_they_are else f"of {width}x{height}"
    print(f"{arguments.count} JPEG files {kind}, median of {arguments.runs} runs; {detector.queue.requests} requests, "
          f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print("| | pictures/s | ratio to benchmark_app | CPU ms a picture |\n|---|---|---|---|")
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, rates["benchmark_app"], strict=True)]
        cost = f"{statistics.median(costs[name]):.2f}" if costs[name] else ""
        print(f"| {name} | {statistics.median(values):.0f} | {statistics.median(ratios):.2f} | {cost} |")


if __name__ == "__main__":
    main()
