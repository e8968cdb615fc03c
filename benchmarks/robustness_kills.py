"""Kills `ssdconvert build ssd-demo` at random moments: what it leaves, and what the next build makes of it.

    python benchmarks/robustness_kills.py [--kills 100] [--seed 1] [--in-a-row 4] [--clean DIR --life SECONDS]

A clean build gives the files that are right and how long a build lives. Then builds are killed with SIGKILL, the
whole process group, each at a moment drawn evenly from that life; every second one at a moment drawn evenly from
the life of one stage, because some take a twentieth of the time. After so many kills in a row in one folder, or
when a build ended before its moment, it is built to the end. Every second folder holds an older build, with another
tail, to begin with.

Looked at after each kill: each file under a final name is that of the clean or of the older build, whole; an .xml
lies beside its own .bin; manifest.json and the records of the stages name what is there. After each build: exit code
0, the clean build's files and no other, nothing temporary in the folder or in the cache, and nobody waited for a lock.
Prints what was found, and how many kills hit each stage; ends with 1 if anything was wrong.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

STAGES = ("fetch", "load", "export", "simplify", "convert", "verify", "detect", "report", "manifest")
OLDER = ("--tail", "detection-output")
LOCK = ".ssdconvert/lock"
Digests = dict[str, str]


class Build:
    """A build of ssd-demo in a folder, in a process group of its own; `told` are the events on its stderr."""

    def __init__(
        self, output: Path, cache: Path, *options: str, environment: dict[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", "ssdconvert", "build", "ssd-demo", "--json", "--log-format", "json"]
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, "--output", str(output), "--cache", str(cache), *options],
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
            env=os.environ | (environment or {}),
        )

    def told(self) -> list[dict[str, object]]:
        self._stderr.seek(0)
        return [json.loads(line) for line in self._stderr.read().splitlines() if line.startswith("{")]

    def stages(self) -> list[str]:
        """Return the stages that have ended."""
        return [str(event["name"]) for event in self.told() if event["event"] == "stage"]

    def stage(self) -> str:
        """Return the stage that runs, after those that have ended."""
        ended = self.stages()
        return (
            STAGES[STAGES.index(ended[-1]) + 1 :][0] if ended and ended[-1] != STAGES[-1] else "before fetch"
        )

    def ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def reached(self, stage: str) -> bool:
        """Wait until a stage runs; False where the build ends before."""
        before = STAGES[: STAGES.index(stage)]
        while not self.ended_within(0.01):
            if not before or before[-1] in self.stages():
                return True
        return False

    def kill(self) -> str:
        """Kill the whole group, and return the stage that it hit."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return self.stage()

    def code(self) -> int:
        return self._process.wait()


def digests(folder: Path) -> Digests:
    """Return the SHA-256 of all files under a folder but the lock and what is temporary, by relative path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not temporary(path, folder))
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }
    found.pop(LOCK, None)
    return found


def temporary(path: Path, folder: Path) -> bool:
    return any(part.startswith((".tmp", "tmp")) for part in path.relative_to(folder).parts)


def wrong_after_kill(folder: Path, clean: Digests, older: Digests) -> Iterator[str]:
    """Tell of files that are neither the clean build's nor the older one's, or of evidence for others."""
    found = digests(folder)
    records, claimed = folder / ".ssdconvert/stages.json", dict[str, str]()
    if records.is_file():
        for record in json.loads(records.read_text("utf-8")).values():
            claimed |= record["outputs"]
    if "manifest.json" in found:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        claimed |= {entry["path"]: entry["sha256"] for entry in manifest["artifacts"]}
    for path, digest in found.items():
        if digest not in (clean.get(path), older.get(path)) and path != ".ssdconvert/stages.json":
            yield f"{path} is neither the clean build's nor the older one's"
        if path in claimed and claimed[path] != digest:
            yield f"{path} is not what the manifest or the records say"
        weights = f"{path.removesuffix('.xml')}.bin"
        if path.endswith(".xml") and path.startswith("FP"):
            pairs = [(build.get(path), build.get(weights)) for build in (clean, older)]
            if (digest, found.get(weights)) not in pairs:
                yield f"{path} is not beside its own {weights}"
    evidence = [found[path] == clean.get(path) for path in ("manifest.json", "report.json") if path in found]
    models = [
        found.get(path) == clean[path]
        for path in clean
        if path.startswith("FP") and clean[path] != older.get(path)
    ]
    if evidence and len({*evidence, *models}) > 1:
        yield "there is a verdict, and not on the models beside it"


def wrong_after_build(folder: Path, cache: Path, build: Build, clean: Digests) -> Iterator[str]:
    """Tell of anything that a build to the end did not make right."""
    if build.code() != 0:
        yield f"exit code {build.code()}: {build.told()[-1:]}"
    if any("waiting" in str(event) for event in build.told()):
        yield "it waited for a lock"
    found = digests(folder)
    yield from (f"{path} differs" for path in clean if path in found and found[path] != clean[path])
    yield from (f"{path} is missing" for path in clean if path not in found)
    yield from (f"{path} is nobody's" for path in found if path not in clean)
    for place in (folder, cache):
        yield from (f"{path} was left" for path in sorted(place.rglob("*")) if temporary(path, place))


class Trial:
    """Kills builds one after the other, and counts."""

    def __init__(self, place: Path, clean: Path | None, life: float, seed: int) -> None:
        self.place, self.random = place, random.Random(seed)
        self.problems: list[str] = []
        self.hits: Counter[str] = Counter()
        self.builds = 0
        self.life = life
        self.lives: dict[str, float] = {}
        clean = clean or self._built(place / "clean")
        self.clean = digests(clean)
        self.older_folder = place / "older"
        self.older: Digests = {}

    def _built(self, folder: Path, *options: str) -> Path:
        started = time.monotonic()
        build = Build(folder, self.place / "first-cache", *options)
        if build.code() != 0:
            sys.exit(f"a build without kills ends with {build.code()}: {build.told()[-1:]}")
        if not options:
            self.life = time.monotonic() - started
            self.lives = {
                str(e["name"]): float(str(e["seconds"])) for e in build.told() if e["event"] == "stage"
            }
        return folder

    def run(self, kills: int, in_a_row: int) -> None:
        while sum(self.hits.values()) < kills:
            folder, cache = self.place / f"build-{self.builds}", self.place / f"cache-{self.builds}"
            older: Digests = {}
            if self.builds % 2:
                if not self.older:
                    self.older = digests(self._built(self.older_folder, *OLDER))
                older = self.older
                shutil.copytree(self.older_folder, folder)
            self._kill_in(folder, cache, older, min(in_a_row, kills - sum(self.hits.values())))
            build = Build(folder, cache)
            self.builds += 1
            self._note(f"build {self.builds}", wrong_after_build(folder, cache, build, self.clean))
            if not self.problems:
                shutil.rmtree(folder)
                shutil.rmtree(cache)

    def _kill_in(self, folder: Path, cache: Path, older: Digests, times: int) -> None:
        for _ in range(times):
            build = Build(folder, cache)
            if self.lives and sum(self.hits.values()) % 2:
                stage = self.random.choice(STAGES)
                moment = self.random.uniform(0, max(self.lives.get(stage, 0), 0.02))
                told = f"{moment:.3f} s into {stage}"
                ended = not build.reached(stage) or build.ended_within(moment)
            else:
                moment = self.random.uniform(0, self.life)
                told, ended = f"at {moment:.3f} s", build.ended_within(moment)
            if ended:
                return
            hit = build.kill()
            self.hits[hit] += 1
            told = f"kill {sum(self.hits.values())} in build {self.builds + 1}, {told}, in {hit}"
            self._note(told, wrong_after_kill(folder, self.clean, older))

    def _note(self, told: str, problems: Iterator[str]) -> None:
        found = list(problems)
        self.problems += [f"{told}: {problem}" for problem in found]
        print(f"{told}: {'; '.join(found) or 'right'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-a-row", type=int, default=4)
    parser.add_argument("--clean", type=Path, help="a build that is there, of this program")
    parser.add_argument(
        "--life", type=float, default=15.0, help="how many seconds a build lives, with --clean"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        started = time.monotonic()
        trial = Trial(Path(place), arguments.clean, arguments.life, arguments.seed)
        print(f"a clean build makes {len(trial.clean)} files in {trial.life:.1f} s", flush=True)
        trial.run(arguments.kills, arguments.in_a_row)
        hits = ", ".join(
            f"{stage} {trial.hits[stage]}" for stage in ("before fetch", *STAGES) if trial.hits[stage]
        )
        print(f"seed {arguments.seed}: {sum(trial.hits.values())} kills ({hits}), {trial.builds} builds to the end, "
              f"{len(trial.problems)} problems, {time.monotonic() - started:.0f} s")  # fmt: skip
    sys.exit(1 if trial.problems else 0)


if __name__ == "__main__":
    main()
