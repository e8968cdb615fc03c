"""What files are fetched, from where and to where: told without fetching anything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.fetching.addresses import is_web, local_path, origins, shown
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.expected import expected_of
from ssdconvert.fetching.failure import by_hand
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File


@dataclass(frozen=True)
class Listed:
    """A file of a recipe. `urls` are the addresses to look at, the mirror's first, all as URLs, without secrets.

    A mirror that is a folder is named only where it has the file. `path` is where it is in the cache, or would be;
    `cached` whether it is there, or under another recipe's name, and right. `optional`: evidence that a build can go
    without.
    """

    recipe: str
    file: File
    urls: tuple[str, ...]
    path: Path
    cached: bool
    optional: bool

    @property
    def target(self) -> str:
        """Where it belongs in a mirror, a bundle, or a cache."""
        return f"{self.recipe}/{self.file.name}"

    def to_text(self) -> str:
        """Return URL, ALGORITHM:DIGEST, BYTES and TARGET with tabs between, '-' for what nobody published."""
        digests = {"sha256": self.file.sha256, "sha384": self.file.sha384}
        digest = next((f"{algorithm}:{digest}" for algorithm, digest in digests.items() if digest), "-")
        size = "-" if self.file.size is None else str(self.file.size)
        return "\t".join([self.urls[0] if self.urls else "-", digest, size, self.target])

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "recipe": self.recipe,
            "name": self.file.name,
            "urls": list(self.urls),
            "sha256": self.file.sha256,
            "sha384": self.file.sha384,
            "bytes": self.file.size,
            "target": self.target,
            "path": str(self.path),
            "cached": self.cached,
            "optional": self.optional,
            "command": by_hand(self.urls[0], self.path, expected_of(self.file, None)) if self.urls else None,
        }


def listed(recipes: Sequence[Recipe], options: FetchOptions) -> Iterator[Listed]:
    """Yield the files of recipes, each with its evidence last; no socket is opened and nothing written."""
    cache = Cache(options.cache)
    for recipe in recipes:
        for file in recipe.source.published:
            yield Listed(
                recipe.name,
                file,
                tuple(_urls(recipe, file, options.mirror)),
                cache.path(recipe.name, file.name),
                cache.holds(recipe.name, file.name, expected_of(file, _remembered(cache, recipe, file))),
                file is recipe.source.evidence,
            )


def _urls(recipe: Recipe, file: File, mirror: str | None) -> Iterator[str]:
    """Yield the addresses of a file in the form that other programs take."""
    for origin in origins(recipe, file, mirror):
        if is_web(origin):
            yield shown(origin)
        elif origin in file.urls or local_path(origin).is_file():
            yield local_path(origin).absolute().as_uri()


def _remembered(cache: Cache, recipe: Recipe, file: File) -> str | None:
    return cache.remembered(recipe.name).get(file.name)
