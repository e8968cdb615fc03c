"""The archive of a release: a plain tar file (ustar) in one canonical form, so that the same files give the same bytes.

Members are files below one folder, in the order of their names, with mode 0644 and no time, user or group; the end
is two blocks of zeros, and zeros up to a multiple of 10240 bytes. Nothing else is read: a header, a padding or an end
that this module would not write has been changed by somebody.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ssdconvert.fetching.digested_file import BLOCK, DigestedFile
from ssdconvert.fetching.expected import Content
from ssdconvert.release.checksums import MOST_LINES
from ssdconvert.safe_archive import COMPRESSED
from ssdconvert.workspace import written_atomically

HEADER, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
MOST_MEMBERS = MOST_LINES
STRANGE = 16  # bytes that differ from a canonical header: more than one changed byte and its checksum explain
FIELDS = (
    (0, "name"), (100, "mode"), (108, "user"), (116, "group"), (124, "size"), (136, "time"), (148, "checksum"),
    (156, "type"), (157, "link"), (257, "magic"), (265, "names of user and group"), (329, "device"),
    (345, "prefix of the name"), (500, "padding of the header"),
)  # fmt: skip
CHECKSUM = range(148, 156)  # which differs wherever another field does


class ChangedMeanwhile(Exception):
    """A file is no longer what was to be packed."""


def write_archive(
    path: Path, folder: str, members: Mapping[str, Path | bytes], digests: Mapping[str, str]
) -> Content:
    """Write members (path below `folder` -> a file, or what it is to hold) and return the archive's size and SHA-256.

    Raises ChangedMeanwhile where one has not the SHA-256 in `digests`, OSError where the archive cannot be written,
    ValueError for a name that no header holds. Then nothing new is at `path`.
    """
    with written_atomically(path) as temporary, DigestedFile(temporary, ["sha256"]) as tar:
        for name in sorted(members):
            source = members[name]
            size = _size(name, source)
            tar.write(header_of(f"{folder}/{name}", size))
            digest = hashlib.sha256()
            for block in _blocks(source):
                digest.update(block)
                tar.write(block)
            if digest.hexdigest() != digests[name]:
                raise ChangedMeanwhile(f"{name} is no longer the file of sha256 {digests[name]}")
            tar.write(bytes(-size % HEADER))
        tar.write(bytes(_end(tar.size)))
        content = tar.content()
    return content


def header_of(name: str, size: int) -> bytes:
    """Return the only header that a file of this name and size may have; ValueError where there is none."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")


def _end(position: int) -> int:
    """Return how many zeros end an archive after its members."""
    return 2 * HEADER + -(position + 2 * HEADER) % RECORD


def _size(name: str, source: Path | bytes) -> int:
    try:
        return len(source) if isinstance(source, bytes) else source.stat().st_size
    except FileNotFoundError as error:
        raise ChangedMeanwhile(f"{name} is not there any more") from error


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


@dataclass(frozen=True)
class Member:
    """A file of an archive, as its header tells it: `name` with the folder, `size` in bytes."""

    name: str
    size: int


class CanonicalTar:
    """An archive, read once from its beginning: iterate, and read the `blocks` of the member at hand.

    It raises nothing: `problems` collects what is not in canonical form, (member's name or "", problem). Reading
    goes on behind one damaged header, so that the files behind it are seen, and ends at a second one in a row.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problems: list[tuple[str, str]] = []
        self._file, self._left, self._at = file, 0, 0
        self._buffer = memoryview(bytearray(BLOCK))
        self._size = os.fstat(file.fileno()).st_size
        self._last = ""  # name of the last member

    def __iter__(self) -> Iterator[Member]:
        """Yield the members until the end, or until nothing more can be made of what is there."""
        damaged = count = 0
        while header := self._header():
            member, problem = self._member(header)
            if problem:
                self.problems.append((member.name if member else "", problem))
                damaged += 1
            else:
                damaged = 0
            count += 1
            if member is None or damaged > 1 or count > MOST_MEMBERS:
                self._stop(count)
                return
            self._last, self._left = member.name, member.size
            yield member
            for _ in self.blocks():
                pass
            if any(self._take(-member.size % HEADER)):
                self._tell("what fills it up to a block of 512 bytes is not zero")
            if member.size and self._left:
                self._tell(f"{self._left} bytes of it are missing: the archive ends too early")
                return

    def blocks(self) -> Iterator[memoryview]:
        """Yield what is in the member at hand; each block is good until the next is asked for."""
        while self._left:
            part = self._buffer[: min(self._left, BLOCK)]
            got = self._file.readinto(part)  # type: ignore[attr-defined]
            if not got:
                return
            self._left -= got
            self._at += got
            yield part[:got]

    def _header(self) -> bytes:
        """Return the next header, none at the end, which is looked at too."""
        at = self._at
        header = self._take(HEADER)
        if any(header) and len(header) == HEADER:
            return header
        expected = at + _end(at)
        if any(header) or self._size < expected:
            self._tell(f"the archive ends too early: it has {self._size} bytes, expected {expected} or more")
            return b""
        while block := self._take(BLOCK):
            if any(block):
                position = self._at - len(block) + next(i for i, byte in enumerate(block) if byte)
                self.problems.append(("", f"byte {position}, in the end of the archive, is not zero"))
                return b""
        if self._size != expected:
            self.problems.append(("", f"the archive has {self._size} bytes, expected {expected}"))
        return b""

    def _member(self, header: bytes) -> tuple[Member | None, str]:
        """Return what a header tells, None where nothing can be made of it, and what is wrong with it."""
        at = self._at - HEADER
        try:
            prefix, name = (_text(header[start:end]) for start, end in ((345, 500), (0, 100)))
            name = f"{prefix}/{name}" if prefix else name
            size = tarfile.nti(header[124:136])  # type: ignore[attr-defined]
            expected = header_of(name, size)
        except (ValueError, tarfile.HeaderError) as error:
            return None, self._unreadable(header, at, f"the header at byte {at} cannot be read: {error}")
        wrong = [index for index in range(HEADER) if header[index] != expected[index]]
        if not wrong and size >= 0:
            return Member(name, size), ""
        if len(wrong) > STRANGE or size < 0:
            return None, self._unreadable(header, at, f"byte {at} begins neither a member nor the end")
        first = next((index for index in wrong if index not in CHECKSUM), wrong[0])
        field = [field for start, field in FIELDS if start <= first][-1]
        return Member(name, size), f"its header at byte {at} is not the one that ssdconvert writes: {field}"

    def _unreadable(self, header: bytes, at: int, problem: str) -> str:
        packed = next((kind for start, kind in COMPRESSED.items() if header.startswith(start)), "")
        if at == 0 and packed:
            return f"is compressed ({packed}): a plain tar file is expected"
        if at == 0 and not header.startswith(b"ustar", 257):
            return "is no tar file"
        after = f", after {self._last}" if self._last else ""
        return f"{problem}{after} (its name reads {_text(header[:100], 'replace')!r})"

    def _stop(self, count: int) -> None:
        more = f"it has more than {MOST_MEMBERS} members" if count > MOST_MEMBERS else "it cannot be read on"
        self.problems.append(("", f"{more} from byte {self._at - HEADER}: what follows was not looked at"))

    def _tell(self, problem: str) -> None:
        self.problems.append((self._last, problem))

    def _take(self, size: int) -> bytes:
        taken = self._file.read(size)
        self._at += len(taken)
        return taken


def _text(field: bytes, errors: str = "strict") -> str:
    return field.partition(b"\0")[0].decode("utf-8", errors)
