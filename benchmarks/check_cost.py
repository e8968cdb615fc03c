"""What `ssdconvert check` costs beside sha256sum and openssl on the same bytes, all in turn in one run.

    python benchmarks/check_cost.py [--megabytes 200] [--rounds 7] [--build build/ssd-demo]

Takes a build, makes its FP32 weights larger by random bytes until the folder has so many megabytes, writes the
documents that say so, packs it, and prints medians of wall time and of CPU time of `check` on the folder and on the
archive, of `sha256sum` on the same files, and of `openssl dgst -sha256`.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ssdconvert.catalog import Catalog
from ssdconvert.recipe import load_recipe
from ssdconvert.release.documents import write_documents
from ssdconvert.release.package import package
from ssdconvert.report.result import verification_from_json
from ssdconvert.workspace import digest_of


def enlarged(build: Path, folder: Path, size: int) -> Path:
    """Return a copy of a build whose first weights are so much larger that it has `size` bytes."""
    shutil.copytree(build, folder, ignore=shutil.ignore_patterns(".ssdconvert"))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    entry = next(one for one in manifest["artifacts"] if one["path"].endswith(".bin"))
    weights = folder / entry["path"]
    missing = size - sum(one["bytes"] for one in manifest["artifacts"])
    with weights.open("ab") as file:
        for start in range(0, max(missing, 0), 1 << 20):
            file.write(os.urandom(min(1 << 20, missing - start)))
    entry |= {"sha256": digest_of(weights), "bytes": weights.stat().st_size}
    verification = verification_from_json(json.loads((folder / "report.json").read_bytes()))
    write_documents(folder, manifest, load_recipe(folder / "recipe.yaml"), verification)
    return folder


def taken(command: list[str], folder: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--build", type=Path, default=Path("build/ssd-demo"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        name = json.loads((given.build / "manifest.json").read_bytes())["recipe"]["name"]
        folder = enlarged(given.build, Path(place) / name, given.megabytes * 1_000_000)
        archive = package(Catalog().find(name).recipe, folder, Path(place) / f"{name}.tar").archive
        files = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
        check = [sys.executable, "-m", "ssdconvert", "check", "-q"]
        commands = {
            "sha256sum, the folder's files": ["sha256sum", *files],
            "openssl dgst -sha256, the same": ["openssl", "dgst", "-sha256", *files],
            "ssdconvert check DIR": [*check, str(folder)],
            "ssdconvert check ARCHIVE": [*check, str(archive)],
        }
        times: dict[str, list[tuple[float, float]]] = {key: [] for key in commands}
        for _ in range(given.rounds):
            for key, command in commands.items():
                times[key].append(taken(command, folder))
        total = sum(Path(path).stat().st_size for path in files) / 1e6
    wall = {key: statistics.median(one[0] for one in measured) for key, measured in times.items()}
    cpu = {key: statistics.median(one[1] for one in measured) for key, measured in times.items()}
    first, second, *_ = commands
    print(f"{total:.0f} MB, medians of {given.rounds}\n")
    print("| command | wall | CPU | wall / sha256sum | wall / openssl |\n|---|---|---|---|---|")
    for key in commands:
        ratios = f"{wall[key] / wall[first]:.2f} | {wall[key] / wall[second]:.2f}"
        print(f"| {key} | {wall[key]:.2f} s | {cpu[key]:.2f} s | {ratios} |")


if __name__ == "__main__":
    main()
