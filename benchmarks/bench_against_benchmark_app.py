"""Whether `ssdconvert bench` tells the truth: its figures beside those of OpenVINO's benchmark_app, in turn.

    python benchmarks/bench_against_benchmark_app.py build/ultraface-rfb-320 [--hint latency] [--rounds 8] [--seconds 3]

For the FP32 IR of each build: one turn of benchmark_app (a process of its own), one of `bench` (in this one), and so
on, each for --seconds. Both are told the same precision, and inputs are pictures of u8 in both. Prints medians over the
turns of the median latency and of the pictures a second, and the ratio of each turn's: its median, and an interval by
order statistics. With --twice the same IR is measured beside itself, in the columns of bench and benchmark_app: what
`bench` takes for a difference where there is none.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ssdconvert.catalog import Catalog
from ssdconvert.fetching.options import FetchOptions, default_cache
from ssdconvert.speed import compare
from ssdconvert.speed.given import Asked, contenders_of
from ssdconvert.speed.result import Hint
from ssdconvert.speed.spread import median_interval

Figures = tuple[float, float]  # median latency in ms, pictures a second


def peer(model: Path, hint: Hint, seconds: float) -> Figures:
    """Return what benchmark_app says."""
    command = [Path(sys.executable).parent / "benchmark_app", "-m", model, "-d", "CPU", "-hint", hint]
    command += ["-infer_precision", "f32", "-t", str(max(1, round(seconds)))]
    told = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout
    median, rate = re.search(r"Median:\s+([\d.]+)", told), re.search(r"Throughput:\s+([\d.]+)", told)
    assert median
    assert rate
    return float(median[1]), float(rate[1])


def print_ratios(name: str, ours: Sequence[Figures], theirs: Sequence[Figures]) -> None:
    for place, what in ((0, "median latency, ms"), (1, "pictures/s")):
        own, other = ([one[place] for one in side] for side in (ours, theirs))
        ratios = [mine / peers for mine, peers in zip(own, other, strict=True)]
        low, high, coverage = median_interval(ratios)
        print(f"| {name} | {what} | {statistics.median(own):.2f} | {statistics.median(other):.2f} | "
              f"{statistics.median(ratios):.3f} | {low:.3f} .. {high:.3f} ({coverage:.0%}) |", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("builds", type=Path, nargs="+")
    parser.add_argument("--hint", choices=["latency", "throughput"], default="latency")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--twice", action="store_true")
    arguments = parser.parse_args()
    hint: Hint = arguments.hint
    print(f"hint {hint}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print("| model | figure | bench | benchmark_app | ratio | interval |\n|---|---|---|---|---|---|")
    for build in arguments.builds:
        (model,) = (build / "FP32").glob("*.xml")
        asked = Asked(
            precisions=("FP32",), engines=("openvino",), against=(model,) if arguments.twice else ()
        )
        given = contenders_of(str(build), Catalog(()), asked, FetchOptions(default_cache(), offline=True))
        if arguments.twice:
            result = compare(given.contenders, hint, arguments.seconds * arguments.rounds, arguments.rounds)
            own, same = ([(r.milliseconds, r.pictures_per_second) for r in row.rounds] for row in result.rows)
            print_ratios(f"{model.stem} beside itself", same, own)
            continue
        ours, theirs = list[Figures](), list[Figures]()
        for _ in range(arguments.rounds):
            theirs.append(peer(model, hint, arguments.seconds))
            (row,) = compare(given.contenders, hint, arguments.seconds, 1).rows
            ours.append((row.latency.median, row.pictures_per_second))
        print_ratios(model.stem, ours, theirs)


if __name__ == "__main__":
    main()
