"""Writes a file and digests what is in it, in one pass."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from types import TracebackType

from ssdconvert.fetching.expected import SNIFFED, Content

BLOCK = 1 << 20  # bytes
AHEAD = 8  # blocks that are written and not yet digested


class DigestedFile:
    """A file that grows, and its digests, which a thread computes beside the writing.

    The first `keep` bytes of what is there stay, and are digested first; the rest is cut off. Every block is on
    its way to the disk when `write` returns, so that a killed process leaves what it got.
    """

    def __init__(self, path: Path, algorithms: Sequence[str], keep: int = 0) -> None:
        self._hashes = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}
        self._file = path.open("r+b" if keep else "wb", buffering=0)
        self._waiting: Queue[bytes | None] = Queue(AHEAD)  # None: there is no more
        # no thread of an executor: an interrupted program ends them, and whoever still writes would fail
        self._thread = threading.Thread(target=self._digest_all, daemon=True)
        self._thread.start()
        self.size = 0
        self.beginning = b""  # of what is in the file
        while self.size < keep and (block := self._file.read(min(BLOCK, keep - self.size))):
            self._digest(block)
        self._file.truncate()

    def write(self, block: bytes) -> None:
        """Append a block."""
        left = memoryview(block)
        while left:  # an unbuffered file may take less than it is given
            left = left[self._file.write(left) :]
        self._digest(block)

    def content(self) -> Content:
        """Return what is in the file."""
        self._waiting.join()
        digests = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        return Content(self.size, digests, self.beginning)

    def _digest(self, block: bytes) -> None:
        self.size += len(block)
        if len(self.beginning) < SNIFFED:
            self.beginning += block[: SNIFFED - len(self.beginning)]
        self._waiting.put(block)

    def _digest_all(self) -> None:
        while (block := self._waiting.get()) is not None:
            for digest in self._hashes.values():
                digest.update(block)
            self._waiting.task_done()

    def __enter__(self) -> "DigestedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        self._file.close()


def content_of(path: Path, algorithms: Sequence[str]) -> Content:
    """Return what is in a file, digested in one pass."""
    hashes = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}
    size, beginning = 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            size += len(block)
            beginning = beginning or block[:SNIFFED]
            for digest in hashes.values():
                digest.update(block)
    return Content(size, {name: digest.hexdigest() for name, digest in hashes.items()}, beginning)
