"""What is checked of a tar archive that somebody else made, before anything in it is used.

Nothing is ever unpacked by a member's own path: a member is a name to look up and bytes to read. Still each name
must stay in its folder, and links, devices and sparse files are refused: an archive that holds one was not made by
who it claims.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

BLOCK = 1 << 20  # bytes
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class UnsafeArchive(Exception):
    """What is wrong with an archive, to be told after its name: "has a member that leaves its folder"."""


def checked_members(
    members: Iterable[tarfile.TarInfo], most: int, largest: int
) -> Iterator[tuple[PurePosixPath, tarfile.TarInfo]]:
    """Yield members, `most` of them, each of `largest` bytes at most, with their paths.

    Raises UnsafeArchive for more, and for a member that is not a file or folder that stays where it belongs.
    """
    for count, member in enumerate(members, 1):
        if count > most:
            raise UnsafeArchive(f"has more than {most} members")
        name = safe_name(member)
        if member.size > largest:
            raise UnsafeArchive(f"has a member of {member.size} bytes, {member.name!r}: too large")
        yield name, member


def safe_name(member: tarfile.TarInfo) -> PurePosixPath:
    """Return a member's path; UnsafeArchive unless it is a file or folder that stays where it belongs."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or re.search(r"[\\:\0]", member.name):
        raise UnsafeArchive(f"has a member that leaves its folder: {member.name!r}")
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not plain and not member.isdir():
        raise UnsafeArchive(f"has a member that is neither file nor folder: {member.name!r}")
    if member.size < 0:
        raise UnsafeArchive(f"has a member of {member.size} bytes: {member.name!r}")
    return name


class PlainTar:
    """A tar file of headers and bytes alone, read once from its beginning: iterate, and `read` the member at hand.

    Extended headers (pax, GNU's long names) come out as members that are neither file nor folder: `safe_name`
    refuses them. So no header is larger than 512 bytes, and none changes what another one says.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = self._padding = 0  # bytes of the member at hand

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members as their headers tell them; UnsafeArchive where it is no whole, plain tar file."""
        header = self._exactly(tarfile.BLOCKSIZE)
        packed = next((kind for start, kind in COMPRESSED.items() if header.startswith(start)), "")
        if packed:
            raise UnsafeArchive(f"is compressed ({packed}): a plain tar file is expected")
        while any(header):
            try:
                member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
            except (tarfile.HeaderError, ValueError) as error:
                raise UnsafeArchive(f"is no tar file, or a damaged one: {error}") from error
            self._left = max(member.size, 0) if member.isreg() else 0
            self._padding = -self._left % tarfile.BLOCKSIZE
            yield member
            while self.read(BLOCK):
                pass
            self._exactly(self._padding)
            header = self._exactly(tarfile.BLOCKSIZE)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of the member at hand, none at its end; UnsafeArchive where the file ends first."""
        block = self._taken(min(size, self._left))
        if not block and self._left:
            raise UnsafeArchive(f"ends too early: {self._left} bytes of a member are missing")
        self._left -= len(block)
        return block

    def _exactly(self, size: int) -> bytes:
        block = self._taken(size)
        if len(block) < size:
            raise UnsafeArchive("ends too early: it is no whole tar file")
        return block

    def _taken(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise UnsafeArchive(f"cannot be read: {error.strerror}") from error
