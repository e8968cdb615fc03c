"""SHA256SUMS, in the form that `sha256sum --check` reads: one line a file, by name."""

import re
from collections.abc import Mapping

_LINE = re.compile(r"([0-9a-f]{64})  ([^\\\n]+)")
MOST_LINES = 20_000


class DamagedSums(Exception):
    """Why a text is no SHA256SUMS of a release."""


def sums_text(digests: Mapping[str, str]) -> str:
    """Return SHA256SUMS of files: relative path -> SHA-256."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))


def parsed_sums(content: bytes) -> dict[str, str]:
    """Return relative path -> SHA-256; DamagedSums unless it is what `sums_text` writes."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedSums(f"is no UTF-8 at byte {error.start}") from error
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        raise DamagedSums(f"has more than {MOST_LINES} lines")
    digests: dict[str, str] = {}
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise DamagedSums(f"line {number}: expected a SHA-256, two spaces and a name, got {line[:120]!r}")
        if digests and match[2] <= next(reversed(digests)):
            raise DamagedSums(f"line {number}: {match[2]!r} is there twice, or not in the order of names")
        digests[match[2]] = match[1]
    if lines[-1] or not digests:
        raise DamagedSums(
            f"ends without a newline: {lines[-1][:120]!r}" if digests or lines[-1] else "is empty"
        )
    return digests
