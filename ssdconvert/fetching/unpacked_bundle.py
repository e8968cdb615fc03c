"""Takes files from a bundle into the cache. Nothing in a bundle is trusted.

A member is a name to look up in the index, and the index a name to look up in the recipes: where a file goes is
decided by the recipe alone. What comes must be what the index says, and what the recipe says, before it gets its
name in the cache.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ssdconvert.errors import FetchError
from ssdconvert.fetching.bundle import INDEX, SCHEMA, Entry, Index
from ssdconvert.fetching.cache import Cache
from ssdconvert.fetching.events import Event
from ssdconvert.fetching.expected import Expected, expected_of
from ssdconvert.fetching.failure import not_imported
from ssdconvert.fetching.one_file import OneFile
from ssdconvert.fetching.options import Fetched, FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.safe_archive import PlainTar, UnsafeArchive, checked_members

LARGEST_INDEX = 1 << 20  # bytes: some 4000 files
MOST_MEMBERS = 20_000  # folders among them


@dataclass(frozen=True)
class _Member:
    """A file of a bundle, and what gives its bytes."""

    entry: Entry
    opened: PlainTar


def index_of(path: Path) -> Index:
    """Return what a bundle says that is in it; FetchError where that cannot be read."""
    with _opened(path) as (index, _):
        return index


def import_bundle(
    path: Path, wanted: Sequence[tuple[Recipe, File]], options: FetchOptions
) -> list[tuple[Recipe, Fetched]]:
    """Take those of the wanted files that are in a bundle into the cache, and return them in the bundle's order.

    Raises FetchError where the bundle is damaged or unsafe, or a file is not what its recipe names. What came before
    that was right, and stays in the cache.
    """
    known = {f"{recipe.name}/{file.name}": (recipe, file) for recipe, file in wanted}
    imported = []
    with _opened(path) as (index, members):
        for entry in (entry for entry in index.files if entry.path in known):
            options.tell(Event("queued", entry.recipe, entry.name, total=entry.bytes))
        for member in members:
            if member.entry.path in known:
                recipe, file = known[member.entry.path]
                imported.append((recipe, _imported(member, path, OneFile(recipe, file, options))))
    return imported


def _imported(member: _Member, path: Path, one: OneFile) -> Fetched:
    """Take one file into the cache, unless the bundle says already that it is another one."""
    entry, cache = member.entry, Cache(one.options.cache)
    expected = expected_of(one.file, cache.remembered(one.recipe.name).get(one.file.name))
    problem = _difference(entry, expected)
    if problem:
        reason = f"is not {expected.meant}: {problem}"
        target = cache.path(one.recipe.name, one.file.name)
        raise not_imported(one.recipe, one.file, expected, str(path), reason, target)
    return one.imported(member.opened, Expected(entry.bytes, entry.sha256), str(path))


def _difference(entry: Entry, expected: Expected) -> str:
    """Return how what the index says of a file differs from what is expected, or an empty string."""
    if expected.size not in (None, entry.bytes):
        return f"expected {expected.size} bytes, got {entry.bytes}"
    told = {"sha256": entry.sha256, "sha384": entry.sha384}
    for algorithm, digest in expected.digests.items():
        if told[algorithm] not in (None, digest):
            return f"expected {algorithm} {digest}, got {told[algorithm]}"
    return ""


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Index, Iterator[_Member]]]:
    """Give a bundle's index and its files; FetchError for whatever is wrong with it, in the block too."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    with file:
        size = path.stat().st_size
        tar = PlainTar(file)
        members = (
            (str(name), member.size)
            for name, member in checked_members(tar, MOST_MEMBERS, size)
            if not member.isdir()
        )
        try:
            index = _index(tar, members)
            promised = sum(entry.bytes for entry in index.files)
            if promised > size:
                raise UnsafeArchive(
                    f"ends too early: its index names {promised} bytes, and it has {size} in all"
                )
            yield index, _files(tar, members, index)
        except UnsafeArchive as error:
            raise _damaged(path, str(error)) from error


def _index(tar: PlainTar, members: Iterator[tuple[str, int]]) -> Index:
    name, size = next(members, ("", 0))
    if name != INDEX:
        raise UnsafeArchive(f"is no bundle: its first member is {name!r}, expected {INDEX!r}")
    if size > LARGEST_INDEX:
        raise UnsafeArchive(f"has an index of {size} bytes, expected {LARGEST_INDEX} at most")
    content = b"".join(iter(lambda: tar.read(LARGEST_INDEX), b""))
    try:
        document = json.loads(content)
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise UnsafeArchive(f"has an index of schema {schema!r}, this ssdconvert reads {SCHEMA}")
        index = Index.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnsafeArchive(f"has a damaged index: {place or INDEX}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise UnsafeArchive(f"has a damaged index: {error}") from error
    paths = [entry.path for entry in index.files]
    if len(set(paths)) < len(paths):
        raise UnsafeArchive("has an index that names a file twice")
    return index


def _files(tar: PlainTar, members: Iterator[tuple[str, int]], index: Index) -> Iterator[_Member]:
    """Yield the files; UnsafeArchive unless they are those of the index, each once, of the size that it says."""
    missing = {entry.path: entry for entry in index.files}
    for name, size in members:
        entry = missing.pop(name, None)
        if not entry:
            raise UnsafeArchive(f"has a member that its index does not name, or has it twice: {name!r}")
        if size != entry.bytes:
            raise UnsafeArchive(f"has {size} bytes of {name}, its index says {entry.bytes}")
        yield _Member(entry, tar)
    if missing:
        raise UnsafeArchive(f"lacks what its index names: {', '.join(missing)}")


def _damaged(path: Path, problem: str) -> FetchError:
    return FetchError(
        f"{path} {problem}",
        hint="carry it over again, or write it anew where there is a network: ssdconvert fetch NAME --bundle FILE.tar",
    )
