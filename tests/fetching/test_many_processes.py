"""Many processes and threads that want the same file at once: one downloads it, the others wait for that."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.fetching.events import Event
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch_all

from .range_server import Asked, RangeServer, range_server, recipe_of

MANY = 8
FETCH = """
import os, sys
from pathlib import Path
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch
tell = lambda event: event.kind == "progress" or os.write(1, f"{event.kind} {event.origin}\\n".encode())
(fetched,) = fetch(Recipe.model_validate_json(sys.argv[1]), FetchOptions(Path(sys.argv[2]), tell=tell))
os.write(1, fetched.sha256.encode())
"""


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(3).randbytes(50_000_000)


@pytest.fixture
def server(content: bytes) -> Iterator[RangeServer]:
    with range_server() as server:
        server.url_of("/model.onnx", content)
        yield server


class Hold:
    """Stops a server halfway through a file, until it may go on."""

    def __init__(self, server: RangeServer, size: int) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self.size = size
        server.before_block = self.before_block

    def before_block(self, asked: Asked) -> None:
        if asked.start + asked.sent >= self.size // 2:
            self.reached.set()
            assert self.released.wait(60)


class Fetching:
    """A process that fetches, and what it was told, by kind."""

    def __init__(self, recipe: Recipe, cache: Path) -> None:
        command = [sys.executable, "-c", FETCH, recipe.model_dump_json(by_alias=True), str(cache)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told: list[str] = []

    def told_until(self, *kinds: str) -> str:
        """Return the first of these kinds that it is told."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.append(line.split()[0])
            if self.told[-1] in kinds:
                return self.told[-1]
        raise AssertionError(f"ended after {self.told}: {self.process.communicate()[1]}")

    def sha256(self) -> str:
        """Return the digest that it found, when it has ended well."""
        told, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        *lines, last = told.splitlines()
        self.told += [line.split()[0] for line in lines]
        return last


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Recipe], Fetching]]:
    """Start processes, which end with the test."""
    started: list[Fetching] = []

    def one(recipe: Recipe) -> Fetching:
        started.append(Fetching(recipe, tmp_path / "cache"))
        return started[-1]

    yield one
    for fetching in started:
        fetching.process.kill()
        fetching.process.communicate()


@pytest.fixture
def recipes(documents: Mapping[str, Any], server: RangeServer, content: bytes) -> list[Recipe]:
    """Recipes that name the same file, each under another name."""
    file = {
        "name": "model.onnx",
        "urls": [server.url + "/model.onnx"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return [recipe_of(documents["onnx"], f"recipe-{index}", file) for index in range(MANY)]


def check_one_download(cache: Path, recipes: list[Recipe], content: bytes) -> None:
    """All names in the cache are names of one file, which is right."""
    digest = hashlib.sha256(content).hexdigest()
    paths = [cache / recipe.name / "model.onnx" for recipe in recipes]
    paths.append(cache / ".files" / "sha256" / digest[:2] / digest)
    assert paths[0].read_bytes() == content
    assert len({path.stat().st_ino for path in paths}) == 1
    for recipe in recipes:
        assert json.loads((cache / recipe.name / "lock.json").read_text()) == {"model.onnx": digest}
    assert not list((cache / ".partial").iterdir())


@pytest.mark.parametrize("how", ["one recipe", "many recipes", "unpinned"])
def test_processes(
    tmp_path: Path,
    documents: Mapping[str, Any],
    server: RangeServer,
    content: bytes,
    recipes: list[Recipe],
    start: Callable[[Recipe], Fetching],
    how: str,
) -> None:
    unpinned = recipe_of(
        documents["onnx"], "recipe-0", {"name": "model.onnx", "urls": [server.url + "/model.onnx"]}
    )
    wanted = {"one recipe": recipes[:1] * MANY, "many recipes": recipes, "unpinned": [unpinned] * MANY}[how]
    hold = Hold(server, len(content))
    fetching = [start(recipe) for recipe in wanted]
    first = [one.told_until("started", "waiting") for one in fetching]
    assert sorted(first) == ["started", *["waiting"] * (MANY - 1)]
    hold.released.set()
    assert {one.sha256() for one in fetching} == {hashlib.sha256(content).hexdigest()}
    assert [one.told.count("waiting") for one in fetching] == [kind == "waiting" for kind in first]
    server.settle()
    assert [(one.range, one.sent) for one in server.asked] == [(None, len(content))]
    check_one_download(tmp_path / "cache", wanted, content)


def test_threads(tmp_path: Path, server: RangeServer, content: bytes, recipes: list[Recipe]) -> None:
    hold = Hold(server, len(content))
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if sum(one.kind == "waiting" for one in told) == MANY - 1:
            hold.released.set()

    wanted = [(recipe, recipe.source.files[0]) for recipe in recipes]
    fetched = fetch_all(wanted, FetchOptions(tmp_path / "cache", jobs=MANY, tell=tell))
    assert [one.path.parent.name for one in fetched] == [recipe.name for recipe in recipes]
    assert sorted(one.origin for one in fetched) == ["cache"] * (MANY - 1) + [server.url + "/model.onnx"]
    assert {event.recipe for event in told if event.kind == "finished"} == {recipe.name for recipe in recipes}
    server.settle()
    assert [(one.range, one.sent) for one in server.asked] == [(None, len(content))]
    check_one_download(tmp_path / "cache", recipes, content)


def test_one_is_killed_and_the_next_goes_on(
    tmp_path: Path,
    server: RangeServer,
    content: bytes,
    recipes: list[Recipe],
    start: Callable[[Recipe], Fetching],
) -> None:
    hold = Hold(server, len(content))
    killed = start(recipes[0])
    killed.told_until("started")
    others = [start(recipe) for recipe in recipes[1:4]]
    for one in others:
        one.told_until("waiting")
    assert hold.reached.wait(60)
    (partial,) = (path for path in (tmp_path / "cache" / ".partial").iterdir() if path.suffix != ".json")
    while (had := partial.stat().st_size) < server.asked[0].sent:
        time.sleep(0.01)
    killed.process.kill()
    assert killed.process.wait() == -signal.SIGKILL
    hold.released.set()
    assert {one.sha256() for one in others} == {hashlib.sha256(content).hexdigest()}
    server.settle()
    assert had >= len(content) // 2
    assert [one.range for one in server.asked] == [None, f"bytes={had}-"]
    assert server.asked[1].sent == len(content) - had
    check_one_download(tmp_path / "cache", recipes[1:4], content)
