"""Fetch: the files of a recipe, each checked against its size and digests before anyone reads it.

A file is taken from the cache, else from the mirror, else from the recipe's URLs in order. It is
written to a temporary place in the cache, checked there, and only then given its name. One that
fails its check is kept beside it as `NAME.rejected` for a look and never used.

The cache is `CACHE/RECIPE/FILE`. A file for which the recipe has no digest is unpinned: the digest of
its first fetch is written to `CACHE/RECIPE/lock.json`, and another one later is refused.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock

from ssdconvert.errors import FetchError
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.resources import SCHEME, package_file
from ssdconvert.workspace import digest_of, temporary_folder_beside, write_json

CONNECT_AND_READ_TIMEOUT = (10, 60)  # seconds
BLOCK = 1 << 20  # bytes
WEB = ("http:", "https:")  # what --offline keeps away from, a mirror's address too

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchOptions:
    """Where files come from. `mirror` is a folder or a URL that holds RECIPE/FILE."""

    cache: Path
    mirror: str | None = None
    offline: bool = False
    locked: bool = False


def default_cache() -> Path:
    """Return the folder of fetched files for this user."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("ssdconvert"))


@dataclass(frozen=True)
class Fetched:
    """A checked file in the cache. `origin` is where this call got it; `cache` when it was there."""

    name: str
    path: Path
    sha256: str
    bytes: int
    origin: str
    pinned: bool


def fetch(recipe: Recipe, options: FetchOptions, files: Sequence[File] | None = None) -> list[Fetched]:
    """Return the recipe's files, or some of them, fetched where the cache does not have them.

    Raises FetchError when a file cannot be had or is not the one that the recipe names.
    """
    folder = options.cache / recipe.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return [_fetch_file(recipe, file, folder, options) for file in files or recipe.source.files]
    except OSError as error:
        raise FetchError(
            f"the cache {folder} cannot be used: {error}",
            hint="free space there, or give another folder with --cache or SSDCONVERT_CACHE",
        ) from error


def fetch_if_near(recipe: Recipe, file: File, options: FetchOptions) -> Fetched | None:
    """Return a file from the cache or the mirror, checked; None where neither has it. It is never downloaded.

    A pinned file may lie there as another recipe's: the twin of a network is a model of its own.
    """
    if options.mirror and options.mirror.startswith(WEB):
        options = replace(options, mirror=None)
    near = file.model_copy(update={"urls": tuple(_elsewhere(file, options))})
    origin = next(_origins(recipe, near, options), None)
    in_mirror = bool(near.urls) or (origin is not None and _local(origin).is_file())
    if not in_mirror and not (options.cache / recipe.name / file.name).is_file():
        return None
    return fetch(recipe, options, [near])[0]


def _elsewhere(file: File, options: FetchOptions) -> Iterator[str]:
    """Yield where a pinned file lies under the name of any recipe, and is whole."""
    folders = [options.cache, *([_local(options.mirror)] if options.mirror else [])]
    for path in (path for folder in folders for path in sorted(folder.glob(f"*/{file.name}"))):
        if _pinned(file) and path.is_file() and not _problem(path, digest_of(path), file, None):
            yield path.absolute().as_uri()


def local(file: File, path: Path) -> Fetched:
    """Return a file that was made here, as if it had been fetched."""
    return Fetched(file.name, path, digest_of(path), path.stat().st_size, "stand-in", False)


def _fetch_file(recipe: Recipe, file: File, folder: Path, options: FetchOptions) -> Fetched:
    known = None if _pinned(file) else _remembered_digests(folder).get(file.name)
    if options.locked and not _pinned(file):
        raise FetchError(
            f"{file.name} of {recipe.name} is unpinned and --locked is given",
            hint="write its sha256 into the recipe" + (f": {known}" if known else ""),
        )
    fetched = _cached(file, folder / file.name, known)
    if fetched is None:
        fetched = _first_that_works(recipe, file, folder / file.name, known, options)
    if not fetched.pinned and known is None:
        _remember_digest(folder, fetched)
        log.warning("%s is unpinned: its sha256 %s is remembered from now on", file.name, fetched.sha256)
    return fetched


def _cached(file: File, target: Path, known: str | None) -> Fetched | None:
    """Return the file that is in the cache; one that is damaged is set aside."""
    if not target.is_file():
        return None
    sha256 = digest_of(target)
    problem = _problem(target, sha256, file, known)
    if not problem:
        return Fetched(file.name, target, sha256, target.stat().st_size, "cache", _pinned(file))
    log.warning("the cached %s is damaged (%s); fetching it again", file.name, problem)
    _set_aside(target, target)
    return None


def _first_that_works(
    recipe: Recipe, file: File, target: Path, known: str | None, options: FetchOptions
) -> Fetched:
    failures: list[str] = []
    for origin in _origins(recipe, file, options):
        if options.offline and origin.startswith(WEB):
            failures.append(f"{origin}: not tried, because of --offline")
            continue
        with temporary_folder_beside(target) as folder:
            temporary = folder / target.name
            try:
                _copy(origin, temporary, file)
            except (FileNotFoundError, ConnectionError) as error:
                failures.append(f"{origin}: {error}")
                continue
            sha256 = digest_of(temporary)
            problem = _problem(temporary, sha256, file, known)
            if problem:
                rejected = _set_aside(temporary, target)
                raise FetchError(
                    f"{origin} is not the {file.name} that {recipe.name} names: {problem}",
                    hint=f"the file is kept as {rejected} and not used; get the right one, or correct the recipe",
                )
            os.replace(temporary, target)
        return Fetched(file.name, target, sha256, target.stat().st_size, origin, _pinned(file))
    told = "; ".join(failures) if failures else "there is nowhere to fetch it from"
    raise FetchError(
        f"{file.name} of {recipe.name} could not be had: {told}", hint=_hint(recipe, file, options)
    )


def _hint(recipe: Recipe, file: File, options: FetchOptions) -> str:
    place = f"MIRROR/{recipe.name}/{file.name}"
    if options.offline and any(origin.startswith(WEB) for origin in _origins(recipe, file, options)):
        return f"drop --offline, or put the file at {place} and give --mirror MIRROR"
    return f"put the file at {place} and give --mirror MIRROR"


def _origins(recipe: Recipe, file: File, options: FetchOptions) -> Iterator[str]:
    """Yield where to look: the mirror first, then the recipe's URLs."""
    if options.mirror:
        if "://" in options.mirror:
            yield f"{options.mirror.rstrip('/')}/{quote(recipe.name)}/{quote(file.name)}"
        else:
            yield str(Path(options.mirror) / recipe.name / file.name)
    yield from file.urls


def _copy(origin: str, target: Path, file: File) -> None:
    """Write what is at `origin` to `target`; FileNotFoundError or ConnectionError where there is nothing."""
    if origin.startswith(WEB):
        _download(origin, target, file)
        return
    source = _local(origin)
    if not source.is_file():
        raise FileNotFoundError("no such file")
    shutil.copyfile(source, target)


def _local(origin: str) -> Path:
    """Return the path of an origin that is not on the web."""
    if origin.startswith(SCHEME):
        return package_file(origin)
    return Path(unquote(urlsplit(origin).path) if origin.startswith("file:") else origin)


def _download(url: str, target: Path, file: File) -> None:
    """Stream a URL to `target`, stopping when more arrives than the recipe says."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=CONNECT_AND_READ_TIMEOUT) as response:
            if response.status_code == 404:
                raise FileNotFoundError("not found (HTTP 404)")
            if not response.ok:
                raise ConnectionError(f"HTTP {response.status_code} {response.reason}")
            received = 0
            with target.open("wb") as output:
                for block in response.iter_content(BLOCK):
                    received += len(block)
                    output.write(block)
                    if file.size is not None and received > file.size:
                        break  # the check of the size tells
    except requests.RequestException as error:
        raise ConnectionError(_plain(error)) from error


def _plain(error: Exception) -> str:
    """Return the innermost reason of a chain of network errors, which is the telling one."""
    while isinstance(error.__cause__ or error.__context__, Exception):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__


def _problem(path: Path, sha256: str, file: File, known: str | None) -> str:
    """Return how a file differs from what the recipe says, or an empty string."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"expected {file.size} bytes, got {size}{_kind(path)}"
    for name, expected, actual in (
        ("sha256", file.sha256 or known, sha256),
        ("sha384", file.sha384, digest_of(path, "sha384") if file.sha384 else None),
    ):
        if expected and expected != actual:
            return f"expected {name} {expected}, got {actual}{_kind(path)}"
    return ""


def _kind(path: Path) -> str:
    """Say so when a file is a web page: what servers send in place of a model that moved."""
    with path.open("rb") as opened:
        start = opened.read(256).lstrip().lower()
    return " (an HTML page)" if start.startswith((b"<!doctype html", b"<html")) else ""


def _set_aside(bad: Path, target: Path) -> Path:
    rejected = target.with_name(target.name + ".rejected")
    os.replace(bad, rejected)
    return rejected


def _pinned(file: File) -> bool:
    return bool(file.sha256 or file.sha384)


def _remembered_digests(folder: Path) -> dict[str, str]:
    """Return the digests that the first fetches of unpinned files had, by the files' names."""
    path = folder / "lock.json"
    if not path.is_file():
        return {}
    try:
        digests = json.loads(path.read_text("utf-8"))
    except ValueError:
        digests = None
    if not isinstance(digests, dict):
        raise FetchError(
            f"{path} is damaged: the digests of unpinned files cannot be read from it",
            hint="write their sha256 into the recipe, or delete that file to trust what is fetched next",
        )
    return digests


def _remember_digest(folder: Path, fetched: Fetched) -> None:
    write_json(folder / "lock.json", _remembered_digests(folder) | {fetched.name: fetched.sha256})
