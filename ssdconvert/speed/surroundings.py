"""The machine while something is timed: what else it did, and what holds its processor back."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.cores import cores_allowed
from ssdconvert.speed.result import Row, Surroundings
from ssdconvert.versions import tool_versions

TOOLS = ("openvino", "onnxruntime", "torch", "opencv-python-headless", "numpy")
MOST_OTHERS = 0.05  # of the cores' time, before it is warned
PROC, CGROUPS, PROCESSORS = Path("/proc"), Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")
TICKS_OF_IDLE = (3, 4)  # idle, iowait: places in a line of /proc/stat
PLACE_OF_STEAL, PLACES = 7, 8  # what follows, guests, is counted in the first places too


@dataclass(frozen=True)
class _Ticks:
    """Seconds of the cores that this process may use, since the machine started."""

    busy: float
    stolen: float


class LoadMeter:
    """Measures, from when it is made, what other processes and the host take of the cores."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        self.started, self.own, self.before = time.perf_counter(), time.process_time(), _ticks()

    def shares(self) -> tuple[float | None, float | None]:
        """Return the shares of the cores' time, 0..1, of other processes and of the host; None where nobody tells."""
        after, elapsed = _ticks(), time.perf_counter() - self.started
        if self.before is None or after is None or elapsed <= 0:
            return None, None
        whole = elapsed * len(cores_allowed())
        others = after.busy - self.before.busy - (time.process_time() - self.own)
        stolen = after.stolen - self.before.stolen
        return min(1.0, max(0.0, others / whole)), min(1.0, max(0.0, stolen / whole))


def _ticks() -> _Ticks | None:
    """Read /proc/stat, which Linux alone has."""
    try:
        lines = (PROC / "stat").read_text("utf-8").splitlines()
        per_second = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
    names = {f"cpu{core}" for core in cores_allowed()}
    rows = [
        [int(word) for word in words[1:]] for words in map(str.split, lines) if words and words[0] in names
    ]
    if not rows or any(len(row) < PLACES for row in rows):
        return None
    counted = [place for place in range(PLACES) if place not in (*TICKS_OF_IDLE, PLACE_OF_STEAL)]
    return _Ticks(
        sum(row[place] for row in rows for place in counted) / per_second,
        sum(row[PLACE_OF_STEAL] for row in rows) / per_second,
    )


def surroundings(meter: LoadMeter) -> Surroundings:
    """Return the machine since `meter` was made."""
    others, stolen = meter.shares()
    versions = {"python": platform.python_version(), **tool_versions(TOOLS)}
    return Surroundings(_processor(), len(cores_allowed()), meter.load, others, stolen, versions)


def _processor() -> str:
    with suppress(OSError):
        for line in (PROC / "cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def warnings_of(around: Surroundings, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return what makes the figures less than they seem."""
    return tuple(_warnings(around, rows))


def _warnings(around: Surroundings, rows: Sequence[Row]) -> Iterator[str]:
    if around.others is not None and around.others > MOST_OTHERS:
        yield (
            f"other processes took {around.others:.0%} of the cores: times are longer than on a quiet machine, and an "
            "engine whose threads wait for each other suffers most; --threads 1 suffers least"
        )
    if around.stolen is not None and around.stolen > MOST_OTHERS:
        yield f"the host gave {around.stolen:.0%} of the cores' time to other machines: trust the ratios"
    quota = cores_of_quota()
    threads = max((row.threads or 0 for row in rows), default=0)
    if quota is not None and quota < threads:
        yield (
            f"a quota of {quota:g} cores is shared by {threads} threads, which stand still when it is used up: "
            f"give --threads {max(1, int(quota))}"
        )
    governors = frequency_governors()
    if governors - {"performance"}:
        yield (
            f"the processor's frequency moves (governor {', '.join(sorted(governors))}): first turns may be slower"
        )
    named = {row.name: row for row in rows}
    works = {row.work for row in rows}
    if len(works) > 1:
        heads = [name for name, row in named.items() if row.work == "heads"]
        yield f"{', '.join(heads)}: ends in raw heads, without decoding and suppression, which the others do"
    seen = {row.threads for row in rows if row.threads}
    if len(seen) > 1:
        yield f"numbers of threads differ: {', '.join(f'{row.name} {row.threads}' for row in rows if row.threads)}"
    slow = [row.name for row in rows if row.inferences < 2 * len(row.rounds)]
    if slow:
        yield f"{', '.join(slow)}: fewer than 2 inferences a round; give more --seconds"


def cores_of_quota() -> float | None:
    """Return how many cores' time the control group of this process may use, None without a limit."""
    for folder in (_own_group(), CGROUPS, CGROUPS / "cpu"):
        with suppress(OSError, ValueError, IndexError):
            quota, period = (folder / "cpu.max").read_text("utf-8").split()
            if quota != "max":
                return int(quota) / int(period)
        with suppress(OSError, ValueError, ZeroDivisionError):
            used = int((folder / "cpu.cfs_quota_us").read_text("utf-8"))
            if used > 0:
                return used / int((folder / "cpu.cfs_period_us").read_text("utf-8"))
    return None


def _own_group() -> Path:
    """Return the folder of this process's control group, of version 2."""
    with suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text("utf-8").splitlines():
            number, _, path = line.split(":", 2)
            if number == "0":
                return CGROUPS / path.lstrip("/")
    return CGROUPS


def frequency_governors() -> frozenset[str]:
    """Return the frequency governors of the cores that this process may use; empty where the system has none."""
    found = set()
    for core in cores_allowed():
        with suppress(OSError):
            path = PROCESSORS / f"cpu{core}" / "cpufreq" / "scaling_governor"
            found.add(path.read_text("utf-8").strip())
    return frozenset(found)
