"""What building recipes at once saves, as a ratio to one after the other.

    python benchmarks/parallel_builds.py [NAME...] [--jobs 2] [--rounds 3]

Builds the recipes (ssd-demo and ultraface-rfb-320; SSDCONVERT_MIRROR says where files are) into new folders with one
cache: one after the other, at once in a pool (`-j`), and at once by commands of their own, which know nothing of each
other. The three take turns; prints medians of wall time and of CPU time of all processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = [sys.executable, "-m", "ssdconvert", "build", "-q"]


def measured(commands: list[list[str]], folder: Path, cache: Path) -> tuple[float, float]:
    """Run commands at once in a new folder, and return their seconds of wall time and of CPU."""
    folder.mkdir()
    environment = os.environ | {"SSDCONVERT_CACHE": str(cache)}
    before, started = os.times(), time.perf_counter()
    running = [subprocess.Popen(command, cwd=folder, env=environment) for command in commands]
    codes = [process.wait() for process in running]
    wall, after = time.perf_counter() - started, os.times()
    if any(codes):
        sys.exit(f"{commands} ended with {codes}")
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=["ssd-demo", "ultraface-rfb-320"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    names, jobs = arguments.names, str(arguments.jobs)
    ways = {
        "one after the other": [[*BUILD, *names]],
        f"-j {jobs}": [[*BUILD, *names, "-j", jobs]],
        "commands of their own": [[*BUILD, name] for name in names],
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        measured(ways["one after the other"], Path(folder, "first"), cache)  # fills the cache
        for turn in range(arguments.rounds):
            for index, (way, commands) in enumerate(ways.items()):
                taken[way].append(measured(commands, Path(folder, f"{turn}-{index}"), cache))
    base = taken["one after the other"]
    print(f"| {' '.join(names)} | wall | ratio | CPU | ratio |\n|---|---|---|---|---|")
    for way, pairs in taken.items():
        wall, cpu = (statistics.median(pair[i] for pair in pairs) for i in range(2))
        ratios = [statistics.median(p[i] / b[i] for p, b in zip(pairs, base, strict=True)) for i in range(2)]
        print(f"| {way} | {wall:.1f} s | {ratios[0]:.2f} | {cpu:.1f} s | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
