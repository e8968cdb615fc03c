"""Where the time and the memory of a build go, stage by stage.

A row ends when a stage tells that it has ended, and begins where the row before it did: so what a stage imports
is counted as its own, and looking whether one is up to date as well. `start` is what comes before the first
stage since the process began, or since the build before it: the interpreter, imports, the recipe. `end` is what
comes behind the last one. CPU seconds are those of all threads and of processes that were started and have ended.
"""

import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss


@dataclass(frozen=True)
class _Mark:
    seconds: float  # since the process began
    cpu_seconds: float
    peak_bytes: int


class BuildProfile:
    """What each stage of a build took."""

    def __init__(self) -> None:
        before = _ENDED[-1] if _ENDED else _Mark(0.0, 0.0, 0)
        self.marks = [("", before)]

    def mark(self, name: str) -> None:
        """End a row."""
        self.marks.append((name, _now()))

    def rows(self) -> tuple[dict[str, Any], ...]:
        """Return the rows: seconds of wall time, share of them, CPU seconds, growth of the peak of memory in bytes.

        The next profile of this process begins here.
        """
        _ENDED[:] = [self.marks[-1][1]]
        whole = self.marks[-1][1].seconds - self.marks[0][1].seconds
        return tuple(
            {
                "name": name,
                "seconds": round(after.seconds - before.seconds, 3),
                "share": round((after.seconds - before.seconds) / whole, 3) if whole else 0.0,
                "cpu_seconds": round(after.cpu_seconds - before.cpu_seconds, 3),
                "peak_growth": after.peak_bytes - before.peak_bytes,
            }
            for (_, before), (name, after) in zip(self.marks, self.marks[1:], strict=False)
        )


def _now() -> _Mark:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum((usage.ru_utime + usage.ru_stime) for usage in (own, ended))
    return _Mark(time.monotonic() - _BEGAN, cpu, own.ru_maxrss * UNIT)


def _began() -> float:
    """Return when this process began, on the clock of time.monotonic; when this was imported where nobody tells."""
    try:
        after_the_name = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2]
        ticks = int(after_the_name.split()[19])  # field 22 of proc(5), since the machine began
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, LookupError, AttributeError):
        age = 0.0
    return time.monotonic() - age


_BEGAN = _began()
_ENDED: list[_Mark] = []  # the end of the profile before
