"""A file that has not arrived whole yet: its first bytes, and where they came from."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """What a server said of a file: a digest of its address, what tells one version from another, its size in bytes.

    The address itself may hold a password, and is not written down.
    """

    address: str
    validator: str | None  # a strong ETag or the Last-Modified date: what If-Range takes
    total: int | None


def source_of(url: str, validator: str | None, total: int | None) -> Source:
    """Return the source that a URL is."""
    return Source(hashlib.sha256(url.encode()).hexdigest(), validator, total)


@dataclass(frozen=True)
class Partial:
    """The bytes at `path`, and their source beside it. Only who holds the lock of the file touches either."""

    path: Path

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def source(self) -> Source | None:
        """Where the bytes came from; None where there are none, or that was lost."""
        try:
            told = json.loads(self._note.read_text("utf-8"))
            return Source(str(told["address"]), told["validator"], told["total"]) if self.size else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def begin(self, source: Source) -> None:
        """Drop the bytes that are there; those that come next are from this source."""
        self.discard()
        write_note(self._note, asdict(source))

    def discard(self) -> None:
        """Remove the bytes, and then what is known of them."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")


def write_note(path: Path, document: Any) -> None:
    """Write a JSON document atomically, under a lock: what a killed process left there is written over, not litter."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    os.replace(temporary, path)
