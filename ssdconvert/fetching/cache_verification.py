"""Digests every file in the cache again, and sets aside what is damaged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache import REMEMBERED, looked_at
from ssdconvert.fetching.cache_contents import CacheContents, CachedFile, INode, RecipeFile
from ssdconvert.fetching.expected import Content, Expected, expected_of
from ssdconvert.recipe import Recipe


@dataclass(frozen=True)
class Verified:
    """How a file is. `file` is its path in the cache, with '/'; `sha256` is None where it cannot be read.

    unpinned: nothing says what should be in it. `problem` and `done` say what is wrong with a damaged one, and what
    was done about it.
    """

    file: str
    path: Path
    status: Literal["ok", "unpinned", "damaged"]
    sha256: str | None = None
    problem: str = ""
    done: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "file": self.file,
            "path": str(self.path),
            "status": self.status,
            "sha256": self.sha256,
            "problem": self.problem,
            "done": self.done,
        }


def verify_cache(folder: Path, recipes: Sequence[Recipe]) -> Iterator[Verified]:
    """Yield how each file is, by what recipes say of it, else by what was remembered; by its name under `.files`.

    A damaged file is set aside, under `.files` removed.
    """
    contents = CacheContents(folder)
    check = _Check(contents, recipes)
    for recipe in contents.recipes():
        yield from check.notes(recipe)
    for file in contents.files():
        yield check.file(file)
    for content in contents.contents():
        yield check.content(content)


class _Check:
    """Judges files; each is read once, whatever its names are."""

    def __init__(self, contents: CacheContents, recipes: Sequence[Recipe]) -> None:
        self._contents, self._cache = contents, contents.cache
        self._named = {
            (recipe.name, file.name): file for recipe in recipes for file in recipe.source.published
        }
        self._read: dict[INode, Content] = {}

    def notes(self, recipe: str) -> Iterator[Verified]:
        """Yield the file that remembers digests, if it is damaged: only a person can say what to do about that."""
        try:
            self._cache.remembered(recipe)
        except (FetchError, OSError) as error:
            path = self._cache.path(recipe, REMEMBERED)
            yield Verified(self._inside(path), path, "damaged", None, str(error), "left for you to look at")

    def file(self, file: RecipeFile) -> Verified:
        """Judge a recipe's file."""
        expected = self._expected(file)
        judged = self._judged(file, expected)
        if judged.status != "damaged" or judged.sha256 is None:
            return judged
        try:
            with self._cache.locked(file.recipe, file.name, expected, lambda: None):
                again = looked_at(
                    file.path, expected.algorithms
                )  # another process may have mended it meanwhile
                if not expected.problem(again):
                    return Verified(judged.file, file.path, "ok", again.digests["sha256"])
                kept = self._cache.set_aside(file.path, file.recipe, file.name)
        except OSError as error:
            return replace(judged, done=f"cannot be set aside: {error.strerror}")
        return replace(judged, done=f"set aside as {self._inside(kept)}")

    def content(self, content: CachedFile) -> Verified:
        """Judge a file under the name of its digest."""
        algorithm, _, digest = content.path.parts[-3:]
        named = {"sha256": Expected(sha256=digest), "sha384": Expected(sha384=digest)}
        judged = self._judged(content, named.get(algorithm, Expected()))
        if judged.status != "damaged":
            return judged
        try:
            content.path.unlink()
        except OSError as error:
            return replace(judged, done=f"cannot be removed: {error.strerror}")
        return replace(judged, done="removed")

    def _judged(self, file: CachedFile, expected: Expected) -> Verified:
        place = self._inside(file.path)
        try:
            content = self._content(file, expected)
        except OSError as error:
            return Verified(place, file.path, "damaged", None, f"cannot be read: {error.strerror}")
        sha256, problem = content.digests["sha256"], expected.problem(content)
        if problem:
            return Verified(place, file.path, "damaged", sha256, problem)
        return Verified(place, file.path, "ok" if expected.decided else "unpinned", sha256)

    def _content(self, file: CachedFile, expected: Expected) -> Content:
        read = self._read.get(file.inode)
        if read is None or not set(expected.algorithms) <= set(read.digests):
            read = self._read[file.inode] = looked_at(file.path, expected.algorithms)
        return read

    def _expected(self, file: RecipeFile) -> Expected:
        """Return what the recipe says of a file, else what was remembered of it."""
        remembered = self._contents.remembered(file.recipe).get(file.name)
        named = self._named.get((file.recipe, file.name))
        return expected_of(named, remembered) if named else Expected(remembered=remembered)

    def _inside(self, path: Path) -> str:
        return path.relative_to(self._contents.folder).as_posix()
