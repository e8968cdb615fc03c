"""One file from a folder: a mirror, a file URL, the installed package; or from a file that is open."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ssdconvert.fetching import Unavailable, WrongFile
from ssdconvert.fetching.digested_file import BLOCK, DigestedFile
from ssdconvert.fetching.disk_space import refuse_without_room
from ssdconvert.fetching.expected import Content, Expected, bytes_text


class Readable(Protocol):
    """What gives bytes, none at its end."""

    def read(self, size: int, /) -> bytes: ...


def copied(source: Path, target: Path, expected: Expected, progress: Callable[[int, int], None]) -> Content:
    """Copy a file to `target` and return what is in it; `progress` is called with the bytes done and in all.

    Raises Unavailable where it cannot be read, WrongFile where its size tells already that it is another.
    """
    try:
        if not source.is_file():
            raise Unavailable("no such file")
        size = source.stat().st_size
        opened = source.open("rb")
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}") from error
    with opened:
        if expected.size not in (None, size):
            told = f"expected {expected.size} bytes, got {bytes_text(size)}"
            raise WrongFile(f"is not {expected.meant}: {told}")
        target.unlink(missing_ok=True)  # what a killed run left takes room
        refuse_without_room(target.parent, size, source.name)
        return copied_from(opened, target, expected, lambda done: progress(done, size))


def copied_from(
    opened: Readable, target: Path, expected: Expected, progress: Callable[[int], None]
) -> Content:
    """Copy what is left of an open file to `target` and return what is in it; Unavailable where it cannot be read."""
    with DigestedFile(target, expected.algorithms) as file:
        while block := _read(opened):
            file.write(block)
            progress(file.size)
        return file.content()


def _read(opened: Readable) -> bytes:
    try:
        return opened.read(BLOCK)
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}") from error
