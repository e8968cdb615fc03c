"""What is in the cache: which files, for whom, how long unused, and what lies there for nobody."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.fetching.cache import REJECTED, REMEMBERED, Cache, key_of, looked_at
from ssdconvert.fetching.expected import expected_of
from ssdconvert.fetching.partial import COPY, NEW, NOTE, Partial
from ssdconvert.recipe import Recipe
from ssdconvert.temporary_folders import PREFIX

INode = tuple[int, int]


@dataclass(frozen=True)
class CachedFile:
    """A file under one of its names; `inode` is the same for all of them, `links` says how many there are.

    `last_used` is in seconds since 1970.
    """

    path: Path
    bytes: int
    last_used: float
    inode: INode
    links: int


@dataclass(frozen=True)
class RecipeFile(CachedFile):
    """A file under its recipe's name."""

    recipe: str
    name: str

    @property
    def target(self) -> str:
        """Recipe and name, as in a mirror."""
        return f"{self.recipe}/{self.name}"


@dataclass(frozen=True)
class PartialFile:
    """What has arrived of a file: `bytes` of `total`, None where nobody knows.

    `target` is RECIPE/FILE if that is known. Who holds the lock `key` is fetching it.
    """

    key: str
    partial: Partial
    bytes: int
    total: int | None
    target: str | None


class CacheContents:
    """The files in a cache's folder as they are when asked for. A folder that does not exist is empty."""

    def __init__(self, folder: Path) -> None:
        self.cache = Cache(folder)
        self.folder = folder

    def recipes(self) -> list[str]:
        """Return the names of the recipes that have a folder, be it an empty one."""
        return sorted(p.name for p in self.folder.glob("*") if p.is_dir() and not p.name.startswith("."))

    def files(self) -> list[RecipeFile]:
        """Return the files of all recipes, by recipe and name."""
        found = []
        for file in self._of_recipes():
            recipe, *name = file.path.relative_to(self.folder).parts
            if not file.path.name.endswith(REJECTED) and name not in ([REMEMBERED], [REMEMBERED + NEW]):
                found.append(RecipeFile(**vars(file), recipe=recipe, name="/".join(name)))
        return found

    def rejected(self) -> list[CachedFile]:
        """Return the files that turned out to be wrong, kept for a look."""
        return [file for file in self._of_recipes() if file.path.name.endswith(REJECTED)]

    def contents(self) -> list[CachedFile]:
        """Return files under their digests: `.files/ALGORITHM/HH/DIGEST`."""
        return list(_walked(self.folder / ".files"))

    def partials(self, recipes: Sequence[Recipe] = ()) -> list[PartialFile]:
        """Return what has not arrived whole; `recipes` are those whose files are told by name."""
        owners = {key: target for recipe in recipes for key, target in self._keys(recipe)}
        places = [path for path in (self.folder / ".partial").glob("*") if path.is_file()]
        found = []
        for path in sorted({p.with_name(p.name.removesuffix(NEW).removesuffix(NOTE)) for p in places}):
            key, partial = path.name.removesuffix(COPY), Partial(path)
            source = partial.source
            total = source.total if source else None
            found.append(PartialFile(key, partial, partial.size, total, owners.get(key)))
        return found

    def half_written(self, older_than: float) -> list[Path]:
        """Return notes and folders that nobody finishes, who began them more than so many seconds ago."""
        notes = [self.cache.path(recipe, REMEMBERED + NEW) for recipe in self.recipes()]
        folders = [self.folder / ".partial", *(self.folder / recipe for recipe in self.recipes())]
        begun = [*notes, *(path for folder in folders for path in sorted(folder.rglob(f"{PREFIX}*")))]
        return [path for path in begun if path.exists() and time.time() - path.stat().st_mtime > older_than]

    def remembered(self, recipe: str) -> dict[str, str]:
        """Return the SHA-256 of a recipe's files as first fetched; nothing where that cannot be read."""
        try:
            return self.cache.remembered(recipe)
        except (FetchError, OSError):
            return {}

    def sha256(self, file: RecipeFile) -> str:
        """Return a file's SHA-256: what was remembered of it, else what is computed."""
        remembered = self.remembered(file.recipe).get(file.name)
        return remembered or looked_at(file.path, ["sha256"]).digests["sha256"]

    def bytes_on_disk(self) -> int:
        """Return how many bytes all files have, those with several names counted once."""
        return sum({file.inode: file.bytes for file in _walked(self.folder)}.values())

    def _keys(self, recipe: Recipe) -> Iterator[tuple[str, str]]:
        """Yield under which keys a recipe's files are fetched."""
        for file in recipe.source.published:
            expected = expected_of(file, self.remembered(recipe.name).get(file.name))
            yield key_of(recipe.name, file.name, expected), f"{recipe.name}/{file.name}"

    def _of_recipes(self) -> Iterator[CachedFile]:
        for recipe in self.recipes():
            yield from _walked(self.folder / recipe)


def _walked(folder: Path) -> Iterator[CachedFile]:
    """Yield the files in a folder, but for what is being written, and for what vanishes meanwhile."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(PREFIX))
        for name in sorted(names):
            path = Path(place, name)
            try:
                status = path.stat()
            except OSError:
                continue
            inode = (status.st_dev, status.st_ino)
            yield CachedFile(path, status.st_size, status.st_atime, inode, status.st_nlink)
