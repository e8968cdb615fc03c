"""A file that has not arrived whole yet: its first bytes, and where they came from."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COPY, NOTE, NEW = ".copy", ".json", ".new"  # ends of names: of copied bytes, of notes, of notes half written


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
            told = Source(**json.loads(self._note.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        texts = isinstance(told.address, str) and isinstance(told.validator, str | None)
        return told if self.size and texts and (told.total is None or _is_count(told.total)) else None

    def begin(self, source: Source) -> None:
        """Drop the bytes that are there; those that come next are from this source."""
        self.discard()
        write_note(self._note, asdict(source))

    def discard(self) -> None:
        """Remove the bytes, and then what is known of them."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._note.with_name(self._note.name + NEW).unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + NOTE)


def write_note(path: Path, document: Any) -> None:
    """Write a JSON document atomically, under a lock: what a killed process left there is written over, not litter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + NEW)
    temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    os.replace(temporary, path)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
