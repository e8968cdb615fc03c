"""Dask: what is refused before anything runs, what a worker does; whole clusters are in tests/cli/test_evaluate.py."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.client import FutureCancelledError

from ssdconvert.accuracy import cluster
from ssdconvert.accuracy.cluster import find_in, run_on_cluster
from ssdconvert.accuracy.data_set import DataSet
from ssdconvert.accuracy.predictions import Predictions
from ssdconvert.accuracy.run import program
from ssdconvert.accuracy.subjects import ModelFile, Subject, Subjects
from ssdconvert.errors import MissingDevice


@pytest.fixture
def subject(grey_model: Path) -> Subject:
    return Subject("grey", (ModelFile.at(grey_model), ModelFile.at(grey_model.with_suffix(".bin"))), None)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as a worker of two threads."""
    here = SimpleNamespace(address="tcp://worker", state=SimpleNamespace(nthreads=2))
    monkeypatch.setattr("distributed.get_worker", lambda: here)
    monkeypatch.setattr(cluster, "_OPEN", {})


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch, data: DataSet, subject: Subject) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(MissingDevice, match=f"no Dask scheduler at {address}"):
            run_on_cluster(address, Subjects("grey", None, (subject,)), data.pictures, Predictions({}, {}))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {"tools": {**program()["tools"], "openvino": "1.0"}, "code": program()["code"]},
            "has openvino 1.0, here",
        ),
        ({**program(), "code": "other"}, "other code"),
        (ModuleNotFoundError("No module named 'ssdconvert'"), "cannot run ssdconvert: ModuleNotFoundError"),
    ],
)
def test_a_worker_that_is_not_the_same_is_refused(
    monkeypatch: pytest.MonkeyPatch, data: DataSet, subject: Subject, told: Any, expected: str
) -> None:
    @contextmanager
    def client(address: str) -> Any:
        yield SimpleNamespace(run=lambda *a, **k: {"tcp://one": program(), "tcp://other": told})

    monkeypatch.setattr(cluster, "_client", client)
    with pytest.raises(MissingDevice, match=expected) as error:
        run_on_cluster("tcp://a:1", Subjects("grey", None, (subject,)), data.pictures, Predictions({}, {}))
    assert "tcp://other" in error.value.message


@pytest.mark.usefixtures("worker")
def test_what_a_worker_does(data: DataSet, subject: Subject, model_giving: Callable[..., Path]) -> None:
    lines = find_in(subject, data.pictures[:3], program())
    assert [line.key for line in lines] == [("grey", 1), ("grey", 2), ("grey", 3)]
    assert len(lines[0].document["rows"]) == 3
    (ready,) = cluster._OPEN.values()
    assert [line.text for line in find_in(subject, data.pictures[:3], program())] == [
        line.text for line in lines
    ]
    assert list(cluster._OPEN.values()) == [ready]


@pytest.mark.usefixtures("worker")
def test_a_worker_without_the_files(data: DataSet, subject: Subject, tmp_path: Path) -> None:
    away = replace(data.pictures[0], path=tmp_path / "away.png")
    with pytest.raises(MissingDevice, match=r"on the worker tcp://worker: there is no .*away\.png"):
        find_in(subject, [away], program())
    other = replace(subject, files=(replace(subject.files[0], sha256="0"), subject.files[1]))
    with pytest.raises(MissingDevice, match="or is another file"):
        find_in(other, data.pictures, program())


@pytest.mark.usefixtures("worker")
def test_a_worker_that_came_late_is_asked_too(
    monkeypatch: pytest.MonkeyPatch, data: DataSet, subject: Subject
) -> None:
    asked = program()
    monkeypatch.setattr(cluster, "_LOADED", {**asked, "code": "of yesterday"})
    with pytest.raises(
        MissingDevice, match="tcp://worker has the same version of ssdconvert with other code"
    ):
        find_in(subject, data.pictures, asked)


def test_a_scheduler_that_is_gone(monkeypatch: pytest.MonkeyPatch, data: DataSet, subject: Subject) -> None:
    class Lost:
        def result(self) -> Any:
            raise FutureCancelledError("find_in-1", "scheduler-connection-lost")

    monkeypatch.setattr("distributed.as_completed", lambda futures: futures)
    client = SimpleNamespace(submit=lambda *a, **k: Lost(), cancel=lambda futures: None)
    with pytest.raises(MissingDevice, match="the scheduler is gone") as error:
        list(cluster._results(client, subject, [data.pictures], program()))
    assert "goes on" in error.value.hint


def test_chunks_are_small_enough_for_all_threads() -> None:
    assert [cluster._chunk_size(*one) for one in ((5000, 2), (100, 4), (3, 16), (0, 1))] == [32, 4, 1, 1]
