"""Fetch: the files of recipes, each checked against its size and digests before anyone reads it.

A file is taken from the cache, else from the mirror, else from the recipe's URLs in order: the first that gives
the right file. `ssdconvert.fetching` says how one file is had, and where it lies then.
"""

import glob
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue

from ssdconvert.errors import FetchError
from ssdconvert.fetching.addresses import in_mirror, is_web, local_path
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.digested_file import content_of
from ssdconvert.fetching.events import Event
from ssdconvert.fetching.expected import expected_of
from ssdconvert.fetching.one_file import OneFile
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.workspace import digest_of


def fetch(recipe: Recipe, options: FetchOptions, files: Sequence[File] | None = None) -> list[Fetched]:
    """Return the recipe's files, or some of them, fetched where the cache does not have them.

    Raises FetchError when a file cannot be had or is not the one that the recipe names.
    """
    return fetch_all([(recipe, file) for file in files or recipe.source.files], options)


def fetch_all(wanted: Sequence[tuple[Recipe, File]], options: FetchOptions) -> list[Fetched]:
    """Return files of any recipes in their order, `options.jobs` at once.

    All are tried before FetchError tells of those that cannot be had.
    """
    for recipe, file in wanted:
        options.tell(Event("queued", recipe.name, file.name, total=file.size))
    ended = _together([OneFile(recipe, file, options) for recipe, file in wanted], options.jobs)
    for end in ended:
        if isinstance(end, Exception) and not isinstance(end, FetchError):
            raise end
    failures = [end for end in ended if isinstance(end, FetchError)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        hints = dict.fromkeys(failure.hint for failure in failures)
        raise FetchError("\n".join(failure.message for failure in failures), hint="\n".join(hints))
    return [end for end in ended if isinstance(end, Fetched)]


def _together(files: Sequence[OneFile], jobs: int) -> list[Fetched | Exception]:
    """Return how each fetch ended.

    The threads are daemons: an interrupted program ends at once, and what has arrived stays for the next run.
    """
    ended: list[Fetched | Exception] = [FetchError("not fetched")] * len(files)
    waiting: SimpleQueue[int] = SimpleQueue()
    for position in range(len(files)):
        waiting.put(position)

    def work() -> None:
        while True:
            try:
                position = waiting.get_nowait()
            except Empty:
                return
            try:
                ended[position] = files[position].fetched()
            except Exception as error:
                one = files[position]
                one.options.tell(Event("failed", one.recipe.name, one.file.name, reason=str(error)))
                ended[position] = error

    if len(files) == 1 or jobs == 1:
        work()
        return ended
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(jobs, len(files)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def fetch_if_near(recipe: Recipe, file: File, options: FetchOptions) -> Fetched | None:
    """Return a file from the cache or the mirror, checked; None where neither has it. It is never downloaded.

    A pinned file may lie there as another recipe's: the twin of a network is a model of its own.
    """
    if options.mirror and is_web(options.mirror):
        options = replace(options, mirror=None)
    near = file.model_copy(update={"urls": tuple(_elsewhere(file, options))})
    cache = Cache(options.cache)
    at_hand = [cache.path(recipe.name, file.name)]
    if options.mirror:
        at_hand.append(local_path(in_mirror(options.mirror, recipe.name, file.name)))
    there = bool(near.urls) or any(path.is_file() for path in at_hand)
    if not there and not cache.find_content(file.name, expected_of(file, None)):
        return None
    return fetch(recipe, options, [near])[0]


def _elsewhere(file: File, options: FetchOptions) -> Iterator[str]:
    """Yield where a pinned file lies in the mirror under the name of any recipe, and is whole."""
    expected = expected_of(file, None)
    if not options.mirror or not expected.pinned:
        return
    for path in sorted(local_path(options.mirror).glob(f"*/{glob.escape(file.name)}")):
        if path.is_file() and not expected.problem(content_of(path, expected.algorithms)):
            yield path.absolute().as_uri()


def local(file: File, path: Path) -> Fetched:
    """Return a file that was made here, as if it had been fetched."""
    return Fetched(file.name, path, digest_of(path), path.stat().st_size, "stand-in", False)
