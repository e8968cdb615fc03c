"""Writes a bundle: one plain tar file that carries files of recipes to a machine without a network.

    bundle.json     what is in it: recipe, name, bytes and digests of each file
    RECIPE/FILE     the files: an unpacked bundle is a mirror

The same files give the same bytes: members in order of their names, no times, no users.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic import StringConstraints as Text

from ssdconvert.errors import FetchError
from ssdconvert.fetching.digested_file import BLOCK, DigestedFile
from ssdconvert.fetching.disk_space import available, is_full
from ssdconvert.fetching.expected import Content
from ssdconvert.recipe_types import NAME, SHA256, SHA384, relative_path
from ssdconvert.safe_archive import UnsafeArchive, safe_name
from ssdconvert.workspace import written_atomically

INDEX = "bundle.json"
SCHEMA = 1


class Entry(BaseModel):
    """A file in a bundle."""

    model_config = ConfigDict(frozen=True, strict=True)

    recipe: Annotated[str, Text(pattern=NAME)]
    name: Annotated[str, AfterValidator(relative_path)]
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Text(pattern=SHA256)]
    sha384: Annotated[str, Text(pattern=SHA384)] | None = None

    @property
    def path(self) -> str:
        """Where it lies in the bundle, and in a mirror."""
        return f"{self.recipe}/{self.name}"


class Index(BaseModel):
    """What is in a bundle."""

    model_config = ConfigDict(frozen=True, strict=True)

    files: tuple[Entry, ...]

    def to_json(self) -> bytes:
        """Return what stands in bundle.json."""
        document = {"schema": SCHEMA, **self.model_dump(mode="json", exclude_none=True)}
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def write_bundle(path: Path, files: Iterable[tuple[Entry, Path]]) -> Content:
    """Write files, which lie at these paths, as a bundle, and return its size and SHA-256.

    Raises FetchError where one is no longer what its entry says, or the bundle cannot be written: then nothing new
    is at `path`.
    """
    given = {entry.path: (entry, source) for entry, source in files}
    ordered = [given[name] for name in sorted(given)]
    index = Index(files=tuple(entry for entry, _ in ordered)).to_json()
    needed = len(index) + sum(entry.bytes for entry, _ in ordered)
    try:
        with written_atomically(path) as temporary:
            if needed > available(temporary.parent):
                raise _no_room(path, needed)
            with DigestedFile(temporary, ["sha256"]) as tar:
                tar.write(_header(INDEX, len(index)) + index + _padding(len(index)))
                for entry, source in ordered:
                    tar.write(_header(entry.path, entry.bytes))
                    _append(tar, entry, source)
                    tar.write(_padding(entry.bytes))
                end = 2 * tarfile.BLOCKSIZE
                tar.write(bytes(end + -(tar.size + end) % tarfile.RECORDSIZE))
                written = tar.content()
        return written
    except OSError as error:
        if is_full(error):
            raise _no_room(path, needed) from error
        raise FetchError(
            f"the bundle {path} cannot be written: {error}", hint="give another place with --bundle"
        ) from error


def _append(tar: DigestedFile, entry: Entry, source: Path) -> None:
    """Append a file's bytes; FetchError where they are not what its entry says."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while size <= entry.bytes and (block := file.read(BLOCK)):
            digest.update(block)
            size += len(block)
            tar.write(block)
    if (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
        raise FetchError(
            f"{source} changed while the bundle was written: "
            f"expected {entry.bytes} bytes, sha256 {entry.sha256}, got {size} bytes, sha256 {digest.hexdigest()}",
            hint="run the same command again; if that does not help, `ssdconvert cache verify` tells what is damaged",
        )


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        safe_name(member)
        return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except (UnsafeArchive, ValueError) as error:
        raise FetchError(
            f"{name} cannot be put into a bundle: {error}",
            hint="a bundle takes names of up to 100 bytes between two '/', 256 in all, and files below 8 GiB",
        ) from error


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _no_room(path: Path, needed: int) -> FetchError:
    return FetchError(
        f"{path} does not fit on the disk: it needs {needed} bytes ({needed / 1e6:.1f} MB)",
        hint="make room, or give another place with --bundle",
    )
