"""Kills `ssdconvert build ssd-demo` before each change that it makes to its folders, one after the other.

    python benchmarks/robustness_changes.py [--rebuild-every 3]

A change is a file that gets its name, or loses it, or a folder that goes. The first build is killed before the first
change, the next one before the second, and so on until one comes to its end; each begins with an older build, with
another tail, in its folder. The same is looked at as in robustness_kills.py: what each kill leaves, and, after so many
kills, what a build to the end makes of the last one's folder. Prints what was found; ends with 1 if anything was wrong.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from robustness_kills import OLDER, Build, digests, wrong_after_build, wrong_after_kill

HOOK = """
import os, signal
left, place = int(os.environ.get("KILL_BEFORE_CHANGE", "0")), os.environ.get("KILL_IN", "")

def killed_before(change):
    def call(path, *others, **named):
        global left
        if left and os.fsdecode(path).startswith(place):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return change(path, *others, **named)
    return call

for name in ("replace", "rename", "unlink", "remove", "link", "rmdir"):
    if left:
        setattr(os, name, killed_before(getattr(os, name)))
"""


def built(folder: Path, cache: Path, *options: str) -> Path:
    build = Build(folder, cache, *options)
    if build.code() != 0:
        sys.exit(f"a build without kills ends with {build.code()}: {build.told()[-1:]}")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rebuild-every", type=int, default=3)
    every = parser.parse_args().rebuild_every
    with tempfile.TemporaryDirectory() as temporary:
        place, started, problems, builds, kills = Path(temporary), time.monotonic(), 0, 0, 0
        (place / "sitecustomize.py").write_text(HOOK, "utf-8")
        older_folder = built(place / "older", place / "first-cache", *OLDER)
        clean = digests(built(place / "clean", place / "first-cache"))
        older, ended = digests(older_folder), False
        path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
        while not ended:
            folder, cache = place / "tried" / "build", place / "tried" / "cache"
            shutil.copytree(older_folder, folder)
            hook = {"PYTHONPATH": path, "KILL_BEFORE_CHANGE": str(kills + 1), "KILL_IN": str(place / "tried")}
            build = Build(folder, cache, environment=hook)
            ended = build.code() == 0
            if ended:
                found = list(wrong_after_build(folder, cache, build, clean))
            elif build.code() != -9:
                found = [f"it ended with {build.code()} before it was killed: {build.told()[-1:]}"]
                ended = True
            else:
                kills, stage = kills + 1, build.stage()
                found = list(wrong_after_kill(folder, clean, older))
                if kills % every == 0:
                    build, builds = Build(folder, cache), builds + 1
                    found += wrong_after_build(folder, cache, build, clean)
            problems += len(found)
            told = "the end" if ended else f"change {kills}, in {stage}"
            print(f"{told}: {'; '.join(found) or 'right'}", flush=True)
            shutil.rmtree(place / "tried")
        seconds = time.monotonic() - started
        print(f"{kills} kills, {builds + 1} builds to the end, {problems} problems, {seconds:.0f} s")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
