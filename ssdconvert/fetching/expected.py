"""What a file is expected to be, how what came differs from it, and what comes in its place."""

from collections.abc import Mapping
from dataclasses import dataclass

from ssdconvert.recipe_source import File

SNIFFED = 512  # bytes at the beginning by which a file's kind is told
INSTEAD = {  # how what servers send in place of a model begins
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs.github.com/spec/": "a pointer of Git LFS, not the file itself",
}


@dataclass(frozen=True)
class Content:
    """What is in a file: bytes, digests by algorithm, sha256 always, and how it begins."""

    size: int
    digests: Mapping[str, str]
    beginning: bytes


@dataclass(frozen=True)
class Expected:
    """Size and digests, None where nobody published them.

    `remembered` is the SHA-256 that an unpinned file had when it was first fetched.
    """

    size: int | None = None
    sha256: str | None = None
    sha384: str | None = None
    remembered: str | None = None

    @property
    def pinned(self) -> bool:
        """Whether the recipe has a digest."""
        return bool(self.sha256 or self.sha384)

    @property
    def decided(self) -> bool:
        """Whether a digest decides if a file is the right one."""
        return self.pinned or self.remembered is not None

    @property
    def digests(self) -> dict[str, str]:
        """The digests that decide, by algorithm."""
        known = {"sha256": self.sha256 or self.remembered, "sha384": self.sha384}
        return {algorithm: digest for algorithm, digest in known.items() if digest}

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What has to be computed of a file."""
        return ("sha256", "sha384") if self.sha384 else ("sha256",)

    @property
    def meant(self) -> str:
        """Which file it is, in words."""
        return "the file that was fetched first" if self.remembered else "the file that the recipe names"

    @property
    def told(self) -> str:
        """What is expected, in words."""
        parts = [f"{self.size} bytes"] if self.size is not None else []
        parts += [f"{algorithm} {digest}" for algorithm, digest in self.digests.items()]
        return ", ".join(parts) or "any file: the recipe has neither size nor digest"

    def problem(self, actual: Content) -> str:
        """Return how a file differs from what is expected, or an empty string."""
        page = instead(actual.beginning)
        also = f": {page}" if page else ""
        if self.size is not None and actual.size != self.size:
            return f"expected {self.size} bytes, got {actual.size}{also}"
        for algorithm, digest in self.digests.items():
            if actual.digests[algorithm] != digest:
                return f"expected {algorithm} {digest}, got {actual.digests[algorithm]}{also}"
        return "" if self.decided or not page else f"got {page}"


def expected_of(file: File, remembered: str | None) -> Expected:
    """Return what a recipe says of a file; `remembered` counts only where it has no digest."""
    pinned = bool(file.sha256 or file.sha384)
    return Expected(file.size, file.sha256, file.sha384, None if pinned else remembered)


def instead(beginning: bytes) -> str:
    """Say what a file is that begins like what servers send in place of a model; else an empty string."""
    if not beginning:
        return "an empty file"
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((kind for prefix, kind in INSTEAD.items() if start.startswith(prefix)), "")


def bytes_text(size: int) -> str:
    """Return a size for people, and exactly: `92 kB (92160 bytes)`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name} ({size} bytes)"
    return f"{size} bytes"
