"""The cache: fetched files by recipe and name, and by what is in them.

    CACHE/RECIPE/FILE          a file under its own name
    CACHE/RECIPE/lock.json     the SHA-256 of each file of the recipe as it was first fetched
    CACHE/.files/ALGORITHM/HH/DIGEST    the same file (a hard link) for any recipe that names this digest
    CACHE/.partial/            what has not arrived whole, each part with where it came from
    CACHE/.locks/              one lock for each content, held while it is fetched; left behind, empty

A file gets its names by renaming and linking, which are atomic, after it was checked: a process that dies at any
moment leaves a partial file or a whole one. Whoever takes a file from the cache digests it again, and sets its
access time: that is when it was last used, whatever the file system does with access times.
"""

import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.fetching.digested_file import content_of
from ssdconvert.fetching.expected import Content, Expected
from ssdconvert.fetching.partial import COPY, Partial, write_note
from ssdconvert.locks import held, held_if_free

REMEMBERED = "lock.json"
REJECTED = ".rejected"


class Cache:
    """The files under a folder. OSError escapes where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, recipe: str, name: str) -> Path:
        """Return where a file of a recipe is, or would be."""
        return self.folder / recipe / name

    def content_path(self, algorithm: str, digest: str) -> Path:
        """Return where the file with a digest is, or would be."""
        return self.folder / ".files" / algorithm / digest[:2] / digest

    def find(self, recipe: str, name: str, expected: Expected) -> tuple[Path, Content] | None:
        """Return a recipe's file if it is there and right. It works in a folder to read only."""
        path = self.path(recipe, name)
        if not path.is_file():
            return None
        _mark_used(path)  # before it is read: who prunes looks at this
        try:
            content = content_of(path, expected.algorithms)
        except FileNotFoundError:  # pruned just now
            return None
        return None if expected.problem(content) else (path, content)

    def holds(self, recipe: str, name: str, expected: Expected) -> bool:
        """Whether a recipe's file is there, or its content as another recipe's, and is right. Nothing is changed."""
        path = self.path(recipe, name)
        own = path.is_file() and not expected.problem(looked_at(path, expected.algorithms))
        return own or self.find_content(name, expected) is not None

    def find_content(self, name: str, expected: Expected) -> tuple[Path, Content] | None:
        """Return a file with the digests that decide, whichever recipe it is of; nothing is changed."""
        known = [self.content_path(algorithm, digest) for algorithm, digest in expected.digests.items()]
        by_name = sorted(self.folder.glob(f"*/{glob.escape(name)}")) if known else []  # put there by hand
        for path in (path for path in [*known, *by_name] if path.is_file()):
            try:
                content = looked_at(path, expected.algorithms)
            except OSError:  # pruned just now, or somebody else's in a cache that users share
                continue
            if not expected.problem(content):
                return path, content
        return None

    def name_for(self, path: Path, recipe: str, name: str) -> Path | None:
        """Give a file in the cache one more recipe's name; None where the file system cannot."""
        named = self.path(recipe, name)
        named.parent.mkdir(parents=True, exist_ok=True)
        if not _linked(path, named):
            return None
        _mark_used(named)
        return named

    def adopt(self, partial: Partial, recipe: str, name: str, content: Content) -> Path:
        """Give a checked file its names, the recipe's first, and forget that it was partial."""
        path = self.path(recipe, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial.path, path)
        _mark_used(path)
        self.share(path, content)
        partial.discard()
        return path

    def share(self, path: Path, content: Content) -> None:
        """Let other recipes find a file by its digests."""
        for algorithm, digest in content.digests.items():
            known = self.content_path(algorithm, digest)
            if not known.exists() or not known.samefile(path):
                known.unlink(missing_ok=True)  # damaged, else it would have been used
                known.parent.mkdir(parents=True, exist_ok=True)
                _linked(path, known)

    def set_aside(self, bad: Path, recipe: str, name: str) -> Path:
        """Keep a wrong file under a name that nobody uses, and return that."""
        rejected = self.path(recipe, name + REJECTED)
        rejected.parent.mkdir(parents=True, exist_ok=True)
        os.replace(bad, rejected)
        return rejected

    def partial(self, recipe: str, name: str, expected: Expected, copy: bool) -> Partial:
        """Return what has arrived so far of a content: by download, or by copying, which begins anew each time."""
        folder = self.folder / ".partial"
        folder.mkdir(parents=True, exist_ok=True)
        return Partial(folder / (key_of(recipe, name, expected) + (COPY if copy else "")))

    def locked(
        self, recipe: str, name: str, expected: Expected, on_wait: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Be the only process and thread that fetches a content; `on_wait` is called once when another does."""
        return held(self._lock(key_of(recipe, name, expected)), on_wait)

    def if_idle(self, key: str) -> AbstractContextManager[bool]:
        """Say whether nobody fetches a content, by its `key_of`, and keep it so."""
        return held_if_free(self._lock(key))

    def _lock(self, key: str) -> Path:
        return self.folder / ".locks" / key

    def remembered(self, recipe: str) -> dict[str, str]:
        """Return the SHA-256 of a recipe's files as they were first fetched, by name; FetchError if that is damaged."""
        path = self.path(recipe, REMEMBERED)
        if not path.is_file():
            return {}
        try:
            digests = json.loads(path.read_text("utf-8"))
        except ValueError:
            digests = None
        if not isinstance(digests, dict) or not all(isinstance(one, str) for one in digests.values()):
            raise FetchError(
                f"{path} is damaged: the digests of unpinned files cannot be read from it",
                hint="write their sha256 into the recipe, or delete that file to trust what is fetched next",
            )
        return digests

    def remember(self, recipe: str, name: str, sha256: str) -> None:
        """Note the digest of a recipe's file."""
        with held(self._lock(hashlib.sha256(recipe.encode()).hexdigest()[:32])):
            write_note(self.path(recipe, REMEMBERED), self.remembered(recipe) | {name: sha256})


def looked_at(path: Path, algorithms: Sequence[str]) -> Content:
    """Return what is in a file, and leave it as little used as it was."""
    before = path.stat()
    content = content_of(path, algorithms)
    _set_access_time(path, before.st_atime_ns)
    return content


def _linked(existing: Path, new: Path) -> bool:
    """Give a file one more name; False where the file system cannot, or the name is taken."""
    try:
        os.link(existing, new)
    except OSError:
        return False
    return True


def _mark_used(path: Path) -> None:
    _set_access_time(path, time.time_ns())


def _set_access_time(path: Path, nanoseconds: int) -> None:
    with suppress(OSError):  # a folder to read only
        os.utime(path, ns=(nanoseconds, path.stat().st_mtime_ns))


def key_of(recipe: str, name: str, expected: Expected) -> str:
    """Return a name for a content: its digest, else one made from what the file is called."""
    decided = expected.digests
    return (
        next(iter(decided.values())) if decided else hashlib.sha256(f"{recipe}/{name}".encode()).hexdigest()
    )
