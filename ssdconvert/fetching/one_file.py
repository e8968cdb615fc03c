"""One file of a recipe: from the cache, else from the first address that has it, or from an open file."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import FetchError
from ssdconvert.fetching import Unavailable, WrongFile
from ssdconvert.fetching.addresses import is_web, local_path, origins, shown
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.disk_space import is_full, no_room, refuse_without_room
from ssdconvert.fetching.events import Event, Kind
from ssdconvert.fetching.expected import Content, Expected, expected_of
from ssdconvert.fetching.failure import not_had, not_imported
from ssdconvert.fetching.http_download import Download
from ssdconvert.fetching.local_copy import Readable, copied, copied_from
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.fetching.partial import Partial
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OneFile:
    """A file that a recipe names, and how it may be fetched."""

    recipe: Recipe
    file: File
    options: FetchOptions

    def fetched(self) -> Fetched:
        """Return the file in the cache, fetched if it was not there; FetchError where it cannot be had."""
        return self._had(self._first_that_works)

    def imported(self, opened: Readable, told: Expected, origin: str) -> Fetched:
        """Return the file in the cache, copied from an open one if it was not there.

        `told` is what `origin` says of it. Raises FetchError where what comes is not that, or not the recipe's file.
        """
        return self._had(lambda expected: self._from_open(opened, told, origin, expected))

    def _had(self, otherwise: Callable[[Expected], Fetched]) -> Fetched:
        """Return the file from the cache, else as `otherwise` gives it, which nobody else does meanwhile."""
        try:
            expected = self._expected()
            self._refuse_unlocked(expected)
            fetched = self._cached(expected) or self._under_lock(expected, otherwise)
        except OSError as error:
            if is_full(error):
                raise no_room(self._cache.folder, self.file.size, self.file.name) from error
            raise FetchError(
                f"the cache {self._cache.folder} cannot be used: {error}",
                hint="mend that, or give another folder with --cache or SSDCONVERT_CACHE",
            ) from error
        self._tell("finished", fetched.origin, fetched.bytes)
        return fetched

    @property
    def _cache(self) -> Cache:
        return Cache(self.options.cache)

    @property
    def _target(self) -> Path:
        return self._cache.path(self.recipe.name, self.file.name)

    def _expected(self) -> Expected:
        return expected_of(self.file, self._cache.remembered(self.recipe.name).get(self.file.name))

    def _refuse_unlocked(self, expected: Expected) -> None:
        """Raise FetchError where only pinned files are wanted, and this is none."""
        if self.options.locked and not expected.pinned:
            known = f": {expected.remembered}" if expected.remembered else ""
            raise FetchError(
                f"{self.file.name} of {self.recipe.name} is unpinned and --locked is given",
                hint=f"write its sha256 into the recipe{known}",
            )

    def _cached(self, expected: Expected) -> Fetched | None:
        found = self._cache.find(self.recipe.name, self.file.name, expected)
        return self._remembered(expected, *found, "cache") if found else None

    def _under_lock(self, expected: Expected, otherwise: Callable[[Expected], Fetched]) -> Fetched:
        """Look again, now that nobody else fetches the same file, and fetch it."""
        names = self.recipe.name, self.file.name
        with self._cache.locked(*names, expected, lambda: self._tell("waiting")):
            known = self._expected()
            cached = self._cached(known)
            if cached:
                return cached
            if known == expected:
                if self._target.is_file():
                    log.warning(
                        "the cached %s is not what is expected: set aside, and fetched again", self._target
                    )
                    self._cache.set_aside(self._target, *names)
                return self._shared(expected) or otherwise(expected)
        # unpinned, and fetched by another process meanwhile: its digest is known, and has a lock of its own
        return self._under_lock(known, otherwise)

    def _shared(self, expected: Expected) -> Fetched | None:
        """Return the file if the cache has its content as another recipe's."""
        found = self._cache.find_content(self.file.name, expected)
        if not found:
            return None
        path, content = found
        named = self._cache.name_for(path, self.recipe.name, self.file.name) or self._copy(path, expected)
        return self._remembered(expected, named, content, "cache") if named else None

    def _copy(self, path: Path, expected: Expected) -> Path | None:
        """Copy a file within the cache, where the file system has no hard links; None if it is not there any more."""
        partial = self._cache.partial(self.recipe.name, self.file.name, expected, copy=True)
        try:
            content = copied(
                path, partial.path, expected, lambda done, total: self._tell("progress", "cache", done, total)
            )
        except (Unavailable, WrongFile):
            return None
        if expected.problem(content):
            partial.discard()
            return None
        return self._cache.adopt(partial, self.recipe.name, self.file.name, content)

    def _first_that_works(self, expected: Expected) -> Fetched:
        tried: list[tuple[str, str]] = []
        names = self.recipe.name, self.file.name
        for origin in origins(self.recipe, self.file, self.options.mirror):
            partial = self._cache.partial(*names, expected, copy=not is_web(origin))
            try:
                content = self._content(origin, partial, expected)
                self._refuse_another(origin, partial, content, expected)
            except (Unavailable, WrongFile) as error:
                tried.append((origin, str(error)))
                if isinstance(error, WrongFile):
                    log.warning("%s: %s: %s", self.file.name, shown(origin), error)
                self._tell("refused", shown(origin), reason=str(error))
                continue
            path = self._cache.adopt(partial, *names, content)
            self._cache.partial(*names, expected, copy=False).discard()  # what a server gave earlier
            return self._remembered(expected, path, content, shown(origin))
        raise not_had(self.recipe, self.file, expected, self._target, tried, self.options)

    def _from_open(self, opened: Readable, told: Expected, origin: str, expected: Expected) -> Fetched:
        partial = self._cache.partial(self.recipe.name, self.file.name, expected, copy=True)
        refuse_without_room(partial.path.parent, told.size or 0, self.file.name)
        try:
            content = copied_from(
                opened,
                partial.path,
                expected,
                lambda done: self._tell("progress", origin, done, told.size),
            )
            damage = told.problem(content)
            if damage:
                raise WrongFile(f"is damaged: {damage}")
            self._refuse_another(origin, partial, content, expected)
            path = self._cache.adopt(partial, self.recipe.name, self.file.name, content)
        except (Unavailable, WrongFile) as error:
            raise not_imported(self.recipe, self.file, expected, origin, str(error), self._target) from error
        finally:
            partial.discard()
        return self._remembered(expected, path, content, origin)

    def _content(self, origin: str, partial: Partial, expected: Expected) -> Content:
        """Return what came from an origin to `partial`; Unavailable or WrongFile where it is not the file."""
        if is_web(origin):
            if self.options.offline:
                raise Unavailable("not tried, because of --offline")
            names = self.recipe.name, self.file.name
            return Download(origin, *names, expected, partial, self.options.patience, self.options.tell).run()
        return copied(
            local_path(origin),
            partial.path,
            expected,
            lambda done, total: self._tell("progress", shown(origin), done, total),
        )

    def _refuse_another(self, origin: str, partial: Partial, content: Content, expected: Expected) -> None:
        """Raise WrongFile unless it is the file; what was downloaded is kept for a look, and never used."""
        problem = expected.problem(content)
        if not problem:
            return
        kept = ""
        if is_web(origin):
            rejected = self._cache.set_aside(partial.path, self.recipe.name, self.file.name)
            kept = f"; kept as {rejected} and not used"
        partial.discard()
        raise WrongFile(f"is not {expected.meant}: {problem}{kept}")

    def _remembered(self, expected: Expected, path: Path, content: Content, origin: str) -> Fetched:
        """Return a file that is in the cache, its digest noted if it is the first."""
        sha256, names = content.digests["sha256"], (self.recipe.name, self.file.name)
        if self._cache.remembered(self.recipe.name).get(self.file.name) != sha256:
            try:
                self._cache.share(path, content)
                self._cache.remember(*names, sha256)
            except OSError as error:  # a cache to read only
                if not expected.pinned:
                    log.warning("the digest of %s cannot be remembered: %s", path, error)
            if not expected.pinned:
                log.warning(
                    "%s of %s is unpinned: it is taken on trust, and remembered. To pin it, write into the recipe: "
                    "size: %d, sha256: %s", *reversed(names), content.size, sha256,
                )  # fmt: skip
        return Fetched(self.file.name, path, sha256, content.size, origin, expected.pinned)

    def _tell(
        self, kind: Kind, origin: str = "", done: int = 0, total: int | None = None, reason: str = ""
    ) -> None:
        total = self.file.size if total is None else total
        self.options.tell(Event(kind, self.recipe.name, self.file.name, origin, done, total, reason))
