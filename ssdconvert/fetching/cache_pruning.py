"""Removes from the cache what nobody uses. What was remembered of unpinned files stays, and so do the locks."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache_contents import CacheContents, CachedFile, INode, PartialFile, RecipeFile

ABANDONED = 3600.0  # seconds after which nobody goes on with what is written in an instant
DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Removed:
    """Something that was removed, `file` its path in the cache, and why; `freed` bytes by that.

    A file with several names frees its bytes with the last of them.
    """

    file: str
    reason: str
    freed: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"file": self.file, "reason": self.reason, "freed": self.freed}


def prune_cache(folder: Path, unused_for: float | None, dry_run: bool) -> list[Removed]:
    """Remove wrong files, partial ones that nobody fetches, contents of no recipe, and what is half written.

    With `unused_for`, in days, also the files of recipes none of which was used for so long. `dry_run`: only tell.
    Raises FetchError where the cache cannot be changed.
    """
    pruning = _Pruning(CacheContents(folder), dry_run)
    try:
        return list(pruning.run(unused_for)) if folder.is_dir() else []
    except OSError as error:
        raise FetchError(
            f"the cache {folder} cannot be pruned: {error}",
            hint="mend that, or give another folder with --cache",
        ) from error


class _Pruning:
    def __init__(self, contents: CacheContents, dry_run: bool) -> None:
        self._contents, self._dry_run = contents, dry_run
        self._gone: dict[INode, int] = {}  # how many names were removed

    def run(self, unused_for: float | None) -> Iterator[Removed]:
        for file in self._contents.rejected():
            yield self._without(file, "a wrong file, kept for a look")
        for partial in self._contents.partials():
            yield from self._without_partial(partial)
        for path in self._contents.half_written(ABANDONED):
            yield self._without_half_written(path)
        contents = self._contents.contents()  # before the names of recipes: a fetched file gets these first
        files = self._contents.files()
        unused = [] if unused_for is None else _unused(files, time.time() - unused_for * DAY)
        removed = set()
        for file in unused:
            if not file.path.exists() or file.path.stat().st_atime > file.last_used:
                continue  # somebody took it just now
            removed.add(file.path)
            days = (time.time() - file.last_used) / DAY
            yield self._without(file, f"not used for {days:.0f} days")
        needed = {file.inode for file in files if file.path not in removed}
        for content in contents:
            if content.inode not in needed:
                yield self._without(content, "of no recipe")

    def _without(self, file: CachedFile, reason: str) -> Removed:
        self._act(lambda: file.path.unlink(missing_ok=True))
        self._gone[file.inode] = self._gone.get(file.inode, 0) + 1
        freed = file.bytes if self._gone[file.inode] == file.links else 0
        return self._removed(file.path, reason, freed)

    def _without_partial(self, file: PartialFile) -> Iterator[Removed]:
        with self._contents.cache.if_idle(file.key) as idle:
            if idle:
                self._act(file.partial.discard)
                yield self._removed(file.partial.path, "did not arrive whole", file.bytes)

    def _without_half_written(self, path: Path) -> Removed:
        freed = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
        self._act(lambda: shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink())
        return self._removed(path, "half written by a program that died", freed)

    def _act(self, action: Callable[[], None]) -> None:
        if not self._dry_run:
            action()

    def _removed(self, path: Path, reason: str, freed: int) -> Removed:
        return Removed(path.relative_to(self._contents.folder).as_posix(), reason, freed)


def _unused(files: list[RecipeFile], since: float) -> list[RecipeFile]:
    """Return the files of recipes of which none was used since a moment."""
    used = {file.recipe for file in files if file.last_used >= since}
    return [file for file in files if file.recipe not in used]
