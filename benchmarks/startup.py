"""How soon the commands answer that load nothing heavy, as a ratio to the bare interpreter.

    python benchmarks/startup.py [--runs 15]

Runs `ssdconvert --help`, `ssdconvert list` and `ssdconvert build ssd-demo` with nothing to do, in turn
with `python -c pass`, and prints medians of wall time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE = [sys.executable, "-m", "ssdconvert"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "ssdconvert --help": [*MODULE, "--help"],
    "ssdconvert list": [*MODULE, "list"],
    "ssdconvert build ssd-demo (nothing to do)": [*MODULE, "build", "ssd-demo"],
}


def seconds(command: list[str], folder: str, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"SSDCONVERT_CACHE": str(Path(folder) / "cache")}
        seconds(COMMANDS["ssdconvert build ssd-demo (nothing to do)"], folder, environment)  # the real build
        taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(runs):
            for name, command in COMMANDS.items():
                taken[name].append(seconds(command, folder, environment))
    bare = statistics.median(taken["python -c pass"])
    print(f"| command | median of {runs} | ratio to the bare interpreter |\n|---|---|---|")
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"| `{name}` | {median:.3f} s | {median / bare:.1f} |")


if __name__ == "__main__":
    main()
