"""Runs the pictures of an evaluation on a Dask cluster, whose workers see the same files at the same places.

Every worker must have the same ssdconvert and the same tools: a result that depends on who computed it is none. Chunks
that a worker dies on are given to another one by Dask.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.accuracy.finders import Finder, opened
from ssdconvert.accuracy.predictions import Line, Predictions, line_of
from ssdconvert.accuracy.run import Tell, program
from ssdconvert.accuracy.subjects import ModelFile, Subject, Subjects
from ssdconvert.errors import ConversionError, MissingDevice

PATIENCE = 8  # seconds for the scheduler to answer, and for a first worker
LARGEST_CHUNK = 32  # pictures
CHUNKS_A_THREAD = 8  # at least, so that none waits long for the last one
SAME = "install the same ssdconvert[cluster] and the same tools on every worker"

_LOCK = Lock()
_OPEN: dict[str, Finder] = {}  # in a worker: the model that it runs
_KEPT = ExitStack()  # and what it needs, as long as the worker lives
_LOADED = program()  # files may be others since this process has loaded them


def loaded_program() -> Mapping[str, Any]:
    """Return `program` as it was when this process loaded it: what a worker that lives long still runs."""
    return _LOADED


def run_on_cluster(
    address: str,
    subjects: Subjects,
    pictures: Sequence[AnnotatedPicture],
    predictions: Predictions,
    tell: Tell = lambda line: None,
) -> None:
    """Run each model over the pictures that it has not seen, on the workers of the scheduler at `address`.

    Raises MissingDevice where there is no scheduler or worker, or a worker lacks the program or a file; what a model
    raises there is raised here.
    """
    with _client(address) as client:
        expected = loaded_program()
        _refuse_others(client, expected)
        for subject in subjects.models:
            left = [_absolute(picture) for picture in predictions.missing(subject.name, pictures)]
            size = _chunk_size(len(left), sum(client.nthreads().values()))
            chunks = [left[start : start + size] for start in range(0, len(left), size)]
            there = replace(subject, files=tuple(replace(f, path=f.path.absolute()) for f in subject.files))
            for lines in _results(client, there, chunks, expected):
                for line in lines:
                    predictions.add(line)
                    tell(line)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """Give a client of a scheduler that has a worker; MissingDevice where there is none."""
    from distributed import Client
    from distributed import TimeoutError as TooLate  # Python 3.10 has two

    # what it logs of lost connections is told by what follows from them
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise MissingDevice(
            f"there is no Dask scheduler at {address}: {error}",
            hint="start one (`dask scheduler`), and give its address: --scheduler tcp://HOST:8786",
            stage="cluster",
        ) from error
    with client, client.as_current():
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TooLate as error:
            raise MissingDevice(
                f"the scheduler at {address} has no worker",
                hint=f"start some: `dask worker {address}`",
                stage="cluster",
            ) from error
        yield client


def _results(
    client: Any, subject: Subject, chunks: Sequence[Sequence[AnnotatedPicture]], expected: Mapping[str, Any]
) -> Iterator[list[Line]]:
    """Yield what comes back, as it does; what is left is cancelled when that ends early."""
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError

    futures = [client.submit(find_in, subject, tuple(chunk), expected, pure=False) for chunk in chunks]
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as error:
                raise ConversionError(
                    f"workers died over {subject.name} again and again: {error}",
                    hint="see their logs; with too little memory, give them fewer threads",
                    stage="cluster",
                ) from error
            except FutureCancelledError as error:
                raise MissingDevice(
                    "the scheduler is gone: the connection to it was lost",
                    hint="start it, and run the same command again: it goes on where it ended",
                    stage="cluster",
                ) from error
    finally:
        client.cancel(futures)


def find_in(
    subject: Subject, pictures: Sequence[AnnotatedPicture], expected: Mapping[str, Any]
) -> list[Line]:
    """Return what a model finds in pictures: what a worker is asked to do, one that came late, too.

    Raises MissingDevice where the worker has not the `expected` program, or not the files.
    """
    from distributed import get_worker

    if loaded_program() != expected:
        raise _other(get_worker().address, loaded_program(), expected)
    finder = _ready(subject)
    for picture in pictures:
        if not picture.path.is_file():  # it is there for whoever asks
            raise _lacking(f"there is no {picture.path}")
    return [line_of(subject.name, finder, picture) for picture in pictures]


def _ready(subject: Subject) -> Finder:
    """Return a model, made ready once for the threads of a worker; MissingDevice where its files are others."""
    import cv2
    from distributed import get_worker

    key = repr((subject.name, subject.files))
    with _LOCK:
        if key not in _OPEN:
            for file in subject.files:
                if not file.path.is_file() or ModelFile.at(file.path).sha256 != file.sha256:
                    raise _lacking(f"{file.path} is not there, or is another file")
            _OPEN.clear()
            cv2.setNumThreads(1)
            _OPEN[key] = _KEPT.enter_context(opened(subject, get_worker().state.nthreads))
        return _OPEN[key]


def _lacking(what: str) -> MissingDevice:
    from distributed import get_worker

    return MissingDevice(
        f"on the worker {get_worker().address}: {what}",
        hint="workers must see the same files at the same places: give them a folder in common",
        stage="cluster",
    )


def _refuse_others(client: Any, expected: Mapping[str, Any]) -> None:
    """Raise MissingDevice for a worker that has no ssdconvert, or another one."""
    try:
        told = client.run(loaded_program, on_error="return")
    except Exception as error:  # a worker that cannot even read what it is asked
        told = {"asked first": error}
    for worker, found in sorted(told.items()):
        if found != expected:
            raise _other(worker, found, expected)


def _other(worker: str, found: Any, expected: Mapping[str, Any]) -> MissingDevice:
    """Return the error of a worker whose program is `found`, or what came of asking for it."""
    if isinstance(found, BaseException):
        why = f"cannot run ssdconvert: {type(found).__name__}: {found}"
    else:
        names = [name for name in expected["tools"] if found["tools"].get(name) != expected["tools"][name]]
        pairs = [f"{name} {found['tools'].get(name)}, here {expected['tools'][name]}" for name in names]
        why = f"has {'; '.join(pairs) or 'the same version of ssdconvert with other code'}"
    return MissingDevice(f"the worker {worker} {why}", hint=SAME, stage="cluster")


def _chunk_size(pictures: int, threads: int) -> int:
    return min(LARGEST_CHUNK, max(1, math.ceil(pictures / (CHUNKS_A_THREAD * max(1, threads)))))


def _absolute(picture: AnnotatedPicture) -> AnnotatedPicture:
    return replace(picture, path=picture.path.absolute())
