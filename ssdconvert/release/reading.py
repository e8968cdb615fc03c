"""Reads a build folder or an archive: what is in it, each file digested once, and what of it is not as it should be.

Nothing that is read decides where anything is written, and nothing is believed here: `agreement` compares.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ssdconvert.fetching.digested_file import BLOCK
from ssdconvert.recipe_types import relative_path
from ssdconvert.release.archive import CanonicalTar, Member
from ssdconvert.release.ir_words import DamagedXml, DescriptionParser
from ssdconvert.release.names import DOCUMENTS, LABELS, REPORT, SIGNATURE
from ssdconvert.workspace import PRIVATE

KEPT = (*DOCUMENTS, REPORT, SIGNATURE, LABELS)  # read whole, not only digested
LARGEST_KEPT = 64 << 20  # bytes
IR = re.compile(r"(FP32|FP16|INT8)/[^/]+\.xml")


class Problem(NamedTuple):
    """What is wrong, and with which file: a path below the folder, or the archive's own name."""

    path: str
    problem: str


@dataclass(frozen=True)
class Found:
    """A file that was read whole."""

    bytes: int
    sha256: str


@dataclass
class Contents:
    """What is in a build: `folder` is the name of the one folder of an archive, or of the build's.

    `documents` are those of `KEPT`; `descriptions` what each IR says of itself.
    """

    folder: str
    archive: bool
    files: dict[str, Found] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    descriptions: dict[str, DescriptionParser] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def take(self, path: str, blocks: Iterable[memoryview]) -> None:
        """Digest a file, and keep of it what is looked at afterwards."""
        digest, size = hashlib.sha256(), 0
        kept = bytearray() if path in KEPT else None
        words = DescriptionParser() if IR.fullmatch(path) else None
        for block in blocks:
            digest.update(block)
            size += len(block)
            if kept is not None and size <= LARGEST_KEPT:
                kept += block
            if words is not None:
                words = self._fed(words, path, block)
        if words is not None and self._fed(words, path, None):
            self.descriptions[path] = words
        if kept is not None and size <= LARGEST_KEPT:
            self.documents[path] = bytes(kept)
        elif kept is not None:
            self.problems.append(Problem(path, f"has {size} bytes, expected {LARGEST_KEPT} at most"))
        self.files[path] = Found(size, digest.hexdigest())

    def _fed(self, words: DescriptionParser, path: str, block: memoryview | None) -> DescriptionParser | None:
        """Return the parser after a block, None for the end of the file; None where it can make nothing of it."""
        try:
            words.feed(block) if block is not None else words.close()
        except DamagedXml as error:
            self.problems.append(Problem(path, str(error)))
            return None
        return words


def read_archive(path: Path) -> Contents:
    """Return what is in an archive; `problems` where it is none. OSError where it cannot be opened."""
    contents = Contents("", True)
    with path.open("rb") as file:
        tar = CanonicalTar(file)
        last = ""
        try:
            for member in tar:
                inside = _inside(contents, member, last)
                if inside:
                    contents.take(inside, tar.blocks())
                last = max(last, member.name)
        except OSError as error:
            contents.problems.append(Problem(path.name, f"cannot be read: {error.strerror}"))
        told = (
            Problem(_below(name, contents.folder) or path.name, problem) for name, problem in tar.problems
        )
        contents.problems[:0] = told
    return contents


def _inside(contents: Contents, member: Member, last: str) -> str:
    """Return a member's path below the archive's folder; empty, and a problem, where it is not there alone."""
    contents.folder = contents.folder or member.name.partition("/")[0]
    path = _below(member.name, contents.folder)
    problem = ""
    try:
        relative_path(member.name)
    except ValueError:
        problem = "is a name that leaves its folder"
    if not problem and not member.name.startswith(f"{contents.folder}/"):
        problem = f"is not in the folder {contents.folder}"
    elif not problem and path in contents.files:
        problem = "is there twice"
    elif not problem and member.name <= last:
        contents.problems.append(Problem(path, f"is not in its place: {last} comes before it"))
    if problem:
        contents.problems.append(Problem(path, problem))
    return "" if problem else path


def _below(name: str, folder: str) -> str:
    return name.removeprefix(f"{folder}/") if folder else name


def read_folder(folder: Path) -> Contents:
    """Return what is in a build folder, but for what a build keeps for itself. OSError where it cannot be read."""
    contents = Contents(folder.absolute().name, False)
    for path, relative in _files(folder, contents):
        try:
            contents.take(relative, _blocks(path))
        except OSError as error:
            contents.problems.append(Problem(relative, f"cannot be read: {error.strerror}"))
    return contents


def _files(folder: Path, contents: Contents) -> Iterator[tuple[Path, str]]:
    """Yield plain files, in the order of their names; links and devices are problems, and not followed."""

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        if Path(place) == folder and PRIVATE in folders:
            folders.remove(PRIVATE)
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in sorted([*names, *links]):
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            if stat.S_ISREG(path.lstat().st_mode):
                yield path, relative
            else:
                contents.problems.append(Problem(relative, "is a link or a device, expected a plain file"))


def _blocks(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while got := file.readinto(buffer):
            yield buffer[:got]
