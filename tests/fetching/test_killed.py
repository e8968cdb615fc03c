"""A fetch that is killed, at random moments and at each of its operations on files, and the one that comes after."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from ssdconvert.recipe import Recipe

from .range_server import IN_SOCKETS, RangeServer, range_server, recipe_of

MILLION = 1_000_000
LARGE, SMALL = random.Random(1).randbytes(6 * MILLION), random.Random(2).randbytes(100_000)
SPEED = 24 * MILLION  # bytes a second
# starts a fetch for each line that it is told; a line such as "7" kills it at its 7th operation in the cache
FETCHES = """
import os, signal, sys, traceback
from pathlib import Path
import filelock, requests
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch

OPERATIONS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}
recipe, cache = Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2])

def kill_at(left):
    def count(event, arguments):
        nonlocal left
        if event == "fcntl.flock" or event in OPERATIONS and str(arguments[0]).startswith(str(cache)):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)

for line in sys.stdin:
    process = os.fork()
    if not process:
        try:
            if line.strip():
                kill_at(int(line))
            fetch(recipe, FetchOptions(cache))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
KILLED = -signal.SIGKILL
PINNED: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "sha256": lambda content: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
    "sha384": lambda content: {"sha384": hashlib.sha384(content).hexdigest()},
    "unpinned": lambda content: {},
}


class Fetches:
    """Fetches of one recipe with one file into one cache, each in a process that can be killed."""

    def __init__(self, recipe: Recipe, content: bytes, cache: Path, server: RangeServer) -> None:
        self.recipe, self.content, self.cache, self.server = recipe, content, cache, server
        command = [sys.executable, "-c", FETCHES, recipe.model_dump_json(by_alias=True), str(cache)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin
        assert self.process.stdout
        self.told, self.answers = self.process.stdin, self.process.stdout

    def run(self, kill_after: float | None = None, kill_at: int | None = None) -> int:
        """Fetch, killed after so many seconds or at an operation; return the exit code after all checks."""
        had, asked_before = self.partial_size, len(self.server.asked)
        print(kill_at or "", file=self.told, flush=True)
        process = int(self.answers.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it had ended
                os.kill(process, signal.SIGKILL)
        code = int(self.answers.readline())
        self.server.settle()
        self.check_requests(self.server.asked[asked_before:], had)
        self.check_cache()
        return code

    def check_requests(self, asked: list[Any], had: int) -> None:
        """It asked at most once, for what was not here."""
        if had in (0, len(self.content)):
            assert [one.range for one in asked] in ([], [None])
        if had == len(self.content):
            assert not asked
        elif had:
            assert [one.range for one in asked] in ([], [f"bytes={had}-"])
            assert all(one.start == had for one in asked)

    def check_cache(self) -> None:
        """Whatever has its final name is whole and right."""
        name = self.recipe.name
        for path in (self.cache / name).glob("*"):
            if path.name == "lock.json":
                assert json.loads(path.read_text()) == {
                    "model.onnx": hashlib.sha256(self.content).hexdigest()
                }
            elif path.name != "lock.json.new":
                assert path.name == "model.onnx"
                assert path.read_bytes() == self.content
        for path in self.files_under(".files"):
            algorithm, start, digest = path.relative_to(self.cache / ".files").parts
            assert hashlib.new(algorithm, path.read_bytes()).hexdigest() == digest
            assert digest.startswith(start)

    def check_done(self) -> None:
        """The right file is here, nothing partial is left, and nobody holds a lock."""
        self.check_cache()
        assert (self.cache / self.recipe.name / "model.onnx").read_bytes() == self.content
        assert sorted(path.name for path in (self.cache / self.recipe.name).iterdir()) == [
            "lock.json",
            "model.onnx",
        ]
        assert self.files_under(".files")
        assert self.partial_size == 0
        import filelock

        for path in self.files_under(".locks"):
            with filelock.FileLock(path, timeout=0):
                pass

    @property
    def partial_size(self) -> int:
        """How much of the file has arrived."""
        return sum(path.stat().st_size for path in self.files_under(".partial") if ".json" not in path.name)

    def files_under(self, folder: str) -> list[Path]:
        return [path for path in (self.cache / folder).rglob("*") if path.is_file()]

    def clear(self) -> None:
        """Begin with an empty cache."""
        shutil.rmtree(self.cache, ignore_errors=True)
        self.server.asked.clear()


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with range_server() as server:
        yield server


@pytest.fixture
def fetches(tmp_path: Path, server: RangeServer, documents: Any) -> Iterator[Callable[..., Fetches]]:
    """Return fetches of a file that is pinned in one of these ways."""
    started = []

    def start(content: bytes, pinned: str) -> Fetches:
        file = {"name": "model.onnx", "urls": [server.url_of("/model.onnx", content)]} | PINNED[pinned](
            content
        )
        recipe = recipe_of(documents["onnx"], "killed", file)
        started.append(Fetches(recipe, content, tmp_path / "cache", server))
        return started[-1]

    yield start
    for one in started:
        one.told.close()
        assert one.process.wait(10) == 0


def killed_often(fetching: Fetches, kills: int, longest: float) -> int:
    """Kill fetches at random moments up to `longest` seconds after their start; return how many ended before.

    When one has ended, the next begins with an empty cache. Every byte was sent once, but what a kill lost.
    """
    seed = random.randrange(1 << 32)
    print("seed", seed)  # pytest shows it when the test fails
    chance, whole, lost = random.Random(seed), 0, 0
    while kills or lost:
        code = fetching.run(chance.uniform(0, longest) if kills else None)
        assert code in ((0, KILLED) if kills else (0,))
        if code == KILLED:
            kills, lost = kills - 1, lost + 1
            continue
        fetching.check_done()
        assert len(fetching.content) <= fetching.server.sent <= len(fetching.content) + lost * IN_SOCKETS
        fetching.clear()
        whole, lost = whole + 1, 0
    return whole


@pytest.mark.parametrize("pinned", PINNED)
def test_killed_at_random_moments(fetches: Callable[..., Fetches], server: RangeServer, pinned: str) -> None:
    server.speed = SPEED
    assert killed_often(fetches(LARGE, pinned), 18, 0.2)


@pytest.mark.parametrize("pinned", PINNED)
def test_killed_near_the_end(fetches: Callable[..., Fetches], pinned: str) -> None:
    fetching = fetches(SMALL, pinned)
    taken = []
    for _ in range(5):
        started = time.monotonic()
        assert fetching.run() == 0
        taken.append(time.monotonic() - started)
        fetching.clear()
    assert killed_often(fetching, 18, sorted(taken)[2])


@pytest.mark.parametrize("pinned", PINNED)
def test_killed_at_each_operation(fetches: Callable[..., Fetches], pinned: str) -> None:
    fetching = fetches(SMALL, pinned)
    for operation in range(1, 1000):
        code = fetching.run(kill_at=operation)
        before = len(fetching.server.asked)
        had_all = (fetching.cache / "killed" / "model.onnx").exists() or fetching.partial_size == len(SMALL)
        assert fetching.run() == 0
        assert len(fetching.server.asked) == before or not had_all
        fetching.check_done()
        fetching.clear()
        if code == 0:
            break
        assert code == KILLED
    assert operation > 20


COMMAND_LINE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background leaves it ignored
from ssdconvert.cli import main
main(sys.argv[1:])
"""


# the same without the command line: says what it is told, and takes its time to end
TOLD = """
import atexit, os, signal, sys, time
from pathlib import Path
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(time.sleep, 0.3)
tell = lambda event: os.write(1, f"{event.kind} {event.reason}\\n".encode())
try:
    fetch(Recipe.model_validate_json(sys.argv[1]), FetchOptions(Path(sys.argv[2]), tell=tell))
except KeyboardInterrupt:
    os.write(1, b"interrupted\\n")
"""


def recipe_of_several(documents: Any, server: RangeServer, contents: dict[str, bytes]) -> str:
    """Return the JSON of a recipe with these files, pinned."""
    described = [
        {"name": name, "urls": [server.url_of(f"/{name}", content)]} | PINNED["sha256"](content)
        for name, content in contents.items()
    ]
    return recipe_of(documents["onnx"], "stopped", *described).model_dump_json(by_alias=True)


def wait_for(process: "subprocess.Popen[str]", server: RangeServer, files: int) -> None:
    """Return when as many files are on their way."""
    while len(server.asked) < files or min(one.sent for one in server.asked) < MILLION / 4:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGTERM])
def test_stopped_with_files_in_flight(
    tmp_path: Path, server: RangeServer, documents: Any, files: int, stopped_by: signal.Signals
) -> None:
    contents = {f"{index}.onnx": random.Random(index).randbytes(2 * MILLION) for index in range(files)}
    recipe = recipe_of_several(documents, server, contents)
    (tmp_path / "stopped.yaml").write_text(yaml.safe_dump(json.loads(recipe)))
    command = [sys.executable, "-c", COMMAND_LINE, "fetch", str(tmp_path / "stopped.yaml"), "--cache"]
    command.append(str(tmp_path / "cache"))
    server.speed = MILLION / 2
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(process, server, files)
    process.send_signal(stopped_by)
    sent_at = time.monotonic()
    told = process.communicate(timeout=10)[1]
    assert time.monotonic() - sent_at < 1
    if stopped_by == signal.SIGINT:
        assert process.returncode == 130
        lines = [line for line in told.splitlines() if line.startswith(("error", "hint"))]
        assert lines == [
            "error[interrupted]: interrupted",
            "hint: run the same command again: what is done is kept",
        ]
    else:
        assert process.returncode == -signal.SIGTERM
    assert "Traceback" not in told
    assert "Error" not in told
    arrived = [path for path in (tmp_path / "cache" / ".partial").iterdir() if path.suffix != ".json"]
    partial = sorted(path.stat().st_size for path in arrived)
    assert len(partial) == files
    assert partial[0] > 0
    first_asked = len(server.asked)
    server.speed = None
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert sorted(one.start for one in server.asked[first_asked:]) == partial
    for name, content in contents.items():
        assert (tmp_path / "cache" / "stopped" / name).read_bytes() == content


def test_what_is_stopped_does_not_fail(tmp_path: Path, server: RangeServer, documents: Any) -> None:
    contents = {f"{index}.onnx": random.Random(index).randbytes(20 * MILLION) for index in range(3)}
    server.speed = 10 * MILLION
    command = [
        sys.executable,
        "-c",
        TOLD,
        recipe_of_several(documents, server, contents),
        str(tmp_path / "cache"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(process, server, 3)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "interrupted" in told
    assert not errors
    kinds = {line.split()[0] for line in told.splitlines()}
    assert {"started", "progress"} <= kinds
    assert not kinds & {"refused", "retry", "failed"}
