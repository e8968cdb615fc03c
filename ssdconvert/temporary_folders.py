"""Temporary folders beside what is written in them; those of processes that were killed can be told and removed.

A folder holds a lock as long as its process lives: the system lets go of it when the process ends, however it ends.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

PREFIX, HELD = ".tmp-", ".held"


@contextmanager
def temporary_folder_beside(path: Path) -> Iterator[Path]:
    """Give an empty folder on the file system of `path`, removed afterwards with all that is left in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder, lock = _held_folder(path.parent)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(places: Iterable[Path]) -> None:
    """Remove what killed processes left in these folders; what a living process holds stays."""
    for folder in [found for place in places for found in place.glob(f"{PREFIX}*")]:
        with contextlib.suppress(OSError, Timeout):  # held, not ours to remove, or gone meanwhile
            lock = FileLock(folder / HELD)
            lock.acquire(timeout=0)
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)


def _held_folder(parent: Path) -> tuple[Path, BaseFileLock]:
    """Return a new folder and its lock, held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = FileLock(folder / HELD)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # another process takes it for abandoned, before it was held
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if (folder / HELD).exists():
            return folder, lock
        lock.release()
