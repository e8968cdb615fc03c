"""Processes of the pool are real ones, the builds in them short: what fails at once, or waits for a lock."""

import logging
import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.build_pool import WorkerTraceback, build_in_pool, useful_workers
from ssdconvert.build_result import BuildOptions
from ssdconvert.build_worker import Job, _that_pickles
from ssdconvert.catalog import Catalog
from ssdconvert.errors import EngineFailure, FetchError, RecipeError, WrongModel
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.locks import held, held_if_free

Told = list[tuple[int, str, Any]]
LOCK = ".ssdconvert/lock"


@pytest.fixture
def job(recipe_file: Callable[..., Path], own_nms: Mapping[str, Any], tmp_path: Path) -> Callable[..., Job]:
    """Return a job that fails: the recipe's file is nowhere."""

    def make(name: str, changes: Mapping[str, Any] | None = None, offline: bool = True) -> Job:
        path = recipe_file(own_nms, {"name": name, **(changes or {})})
        fetching = FetchOptions(tmp_path / "cache", offline=offline)
        return Job(Catalog().find(str(path)), BuildOptions(tmp_path / "build" / name, fetching))

    return make


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a file that never comes."""
    import socket

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/own-nms.onnx"


def build(jobs: list[Job], workers: int, told: Told, act: Callable[[str], None] = lambda kind: None) -> Any:
    def tell(index: int, kind: str, what: Any) -> None:
        told.append((index, kind, what))
        act(kind)

    return build_in_pool(jobs, workers, tell, logging.WARNING)


@pytest.mark.parametrize(("asked", "recipes", "useful"), [(2, 3, 2), (8, 3, 3), (100, 100, 4), (1, 3, 1)])
def test_there_are_no_more_processes_than_recipes_or_cores(
    asked: int, recipes: int, useful: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssdconvert.build_pool.cores_allowed", lambda: (0, 1, 2, 3))
    assert useful_workers(asked, recipes) == useful


def test_a_failure_keeps_its_class_its_words_and_its_place(job: Callable[..., Job]) -> None:
    told: Told = []
    outcomes = build([job(f"gone-{index}") for index in range(3)], 1, told)
    assert [type(outcome) for outcome in outcomes] == [FetchError] * 3
    for index, failure in enumerate(outcomes):
        assert f"gone-{index}" in failure.message
        assert (failure.stage, failure.exit_code) == ("fetch", 3)
        assert failure.hint
        assert isinstance(failure.__cause__, WorkerTraceback)
        assert "in _fetch" in str(failure.__cause__)
    of_first = [(kind, getattr(what, "status", None)) for index, kind, what in told if index == 0]
    assert of_first[0] == ("started", None)
    assert ("stage", "failed") in of_first
    assert of_first[-1][0] == "failed"
    assert not multiprocessing.active_children()


def test_a_process_that_is_killed_takes_one_recipe_with_it(job: Callable[..., Job]) -> None:
    jobs, told = [job("killed"), job("gone")], Told()

    def kill(kind: str) -> None:
        if kind == "waiting":
            multiprocessing.active_children()[0].kill()

    with held(jobs[0].options.output / LOCK):
        killed, gone = build(jobs, 1, told, kill)
    assert isinstance(killed, EngineFailure)
    assert "killed was killed by SIGKILL" in killed.message
    assert killed.exit_code == 4
    assert "memory" in killed.hint
    assert isinstance(gone, FetchError)  # built by a new process


def test_an_interrupt_leaves_no_process_and_no_lock(job: Callable[..., Job], silent_server: str) -> None:
    source = {"source.files": [{"name": "own-nms.onnx", "urls": [silent_server]}]}
    interrupted = job("hanging", source, offline=False)

    def interrupt(kind: str) -> None:
        if kind == "fetch":
            with held_if_free(interrupted.options.output / LOCK) as free:
                assert not free
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([interrupted], 1, [], interrupt)
    assert not multiprocessing.active_children()
    with held_if_free(interrupted.options.output / LOCK) as free:
        assert free


@pytest.mark.parametrize("kind", [FetchError, RecipeError, EngineFailure, WrongModel])
def test_every_kind_of_failure_goes_through_a_pipe(kind: type[FetchError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what", hint="do", stage="where")))
    assert (type(copy), copy.message, copy.hint, copy.stage) == (kind, "what", "do", "where")


def test_a_failure_that_does_not_pickle_is_told_all_the_same() -> None:
    class Local(Exception):
        pass

    told = _that_pickles(Local("odd"))
    assert (type(told), str(told)) == (RuntimeError, "Local: odd")
    full = OSError(28, "No space left on device", "/full")
    assert _that_pickles(full) is full
