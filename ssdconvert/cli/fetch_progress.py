"""How far fetching is: bars on a terminal, else a line every ten seconds, or JSON events."""

import dataclasses
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ssdconvert.cli.log import echo_event
from ssdconvert.cli.options import Settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ssdconvert.fetching.events import Event, Tell

LINE_EVERY = 10.0  # seconds
EVENT_EVERY = 1.0  # seconds, for a file
BAR = 20  # columns
BESIDE_NAMES = (
    BAR + 40
)  # columns: the bar, amount, speed and time left, at their widest, and what is between them
ENDS = ("finished", "failed")
ALL = ("", "")  # whose bar is that of all files


class Shown(Protocol):
    """A way to show events; `tell` is called by one thread at a time."""

    def tell(self, event: "Event") -> None:
        """Show an event."""

    def close(self) -> None:
        """Stop showing."""


@contextmanager
def fetch_progress(settings: Settings, bars: bool = True) -> Iterator["Tell"]:
    """Give what shows the events of a fetch on stderr as the command line asked for; lines without `bars`."""
    if settings.quiet:
        shown: Shown = Nothing()
    elif settings.log_json:
        shown = JsonEvents()
    elif bars and sys.stderr.isatty():
        shown = Bars(settings)
    else:
        shown = Lines(settings)
    lock, over = threading.Lock(), threading.Event()

    def tell(event: "Event") -> None:
        with lock:
            if not over.is_set():  # threads of an interrupted fetch go on until the program ends
                shown.tell(event)

    try:
        yield tell
    finally:
        with lock:
            over.set()
            shown.close()


def told(event: "Event") -> str:
    """Return what is told of an event wherever there is text, or an empty string."""
    if event.kind == "waiting":
        return f"  waiting: another process fetches {event.file}"
    if event.kind == "retry":
        return f"  {event.file}: {event.origin}: {event.reason}; trying again in {event.pause:.1f} s"
    return ""


class Nothing:
    """Shows nothing."""

    def tell(self, event: "Event") -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class JsonEvents:
    """A JSON object for each event, those of progress at most every second for a file."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}

    def tell(self, event: "Event") -> None:
        """Print an event."""
        if event.kind == "progress":
            key, now = (event.recipe, event.file), time.monotonic()
            if now - self._last.get(key, 0.0) < EVENT_EVERY:
                return
            self._last[key] = now
        echo_event("fetch", dataclasses.asdict(event))

    def close(self) -> None:
        """Do nothing."""


class Tally:
    """Bytes that are here and bytes in all, by recipe and file; None where nobody knows."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], tuple[int, int | None]] = {}
        self.moving: set[tuple[str, str]] = set()

    def see(self, event: "Event") -> tuple[str, str]:
        """Count an event, and return whose it is."""
        key = event.recipe, event.file
        if event.kind == "finished":
            self.files[key] = event.done, event.done
        elif event.kind == "queued" or event.done:
            self.files[key] = event.done, event.total
        if event.kind in ENDS:
            self.moving.discard(key)
        elif event.kind in ("started", "progress"):
            self.moving.add(key)
        return key

    @property
    def everything(self) -> tuple[int, int | None]:
        """The sums over all files."""
        sizes = [total for _, total in self.files.values() if total is not None]
        return sum(done for done, _ in self.files.values()), sum(sizes) if len(sizes) == len(
            self.files
        ) else None


class Lines:
    """A line for each file that is on its way, and for all of them, every ten seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last = time.monotonic()
        self._tally = Tally()

    def tell(self, event: "Event") -> None:
        """Print what is worth a line of its own, and what is due."""
        self._tally.see(event)
        if text := told(event):
            self._settings.progress(text)
        now = time.monotonic()
        if event.kind != "progress" or now - self._last < LINE_EVERY:
            return
        self._last = now
        for recipe, file in sorted(self._tally.moving):
            self._settings.progress(
                f"  fetching {file} of {recipe}: {amount(*self._tally.files[recipe, file])}"
            )
        if len(self._tally.files) > 1:
            self._settings.progress(
                f"  fetching {len(self._tally.files)} files: {amount(*self._tally.everything)}"
            )

    def close(self) -> None:
        """Do nothing."""


def amount(done: int, total: int | None) -> str:
    """Return how much is there, e.g. `12.3 of 80.4 MB (15 %)`."""
    if not total:
        return f"{done / 1e6:.1f} MB"
    return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB ({100 * done / total:.0f} %)"


class Bars:
    """A bar for each file on its way, and one for all of them if there are several; gone when all are there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally = Tally()
        self._progress: Progress | None = None
        self._bars: dict[tuple[str, str], TaskID] = {}

    def tell(self, event: "Event") -> None:
        """Draw an event."""
        key = self._tally.see(event)
        if text := told(event):
            self._settings.progress(text)
        if key in self._tally.moving:
            self._draw(key, event.file)
            if len(self._tally.files) > 1:
                self._draw(ALL, f"{len(self._tally.files)} files")
        elif event.kind in ENDS and self._progress and key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
        if not self._tally.moving:
            self.close()

    def close(self) -> None:
        """Remove what is drawn."""
        if self._progress:
            self._progress.stop()
        self._progress, self._bars = None, {}

    def _draw(self, key: tuple[str, str], name: str) -> None:
        done, total = self._tally.everything if key == ALL else self._tally.files[key]
        if self._progress is None:
            self._progress = _bars(self._settings)
            self._progress.start()
        if key not in self._bars:
            shown = shortened(name, self._progress.console.width - BESIDE_NAMES)
            self._bars[key] = self._progress.add_task(shown, completed=done, total=total)
        self._progress.update(self._bars[key], completed=done, total=total)


def shortened(name: str, width: int) -> str:
    """Return the end of a name, which tells files apart, in so many columns, 8 at least."""
    width = max(width, 8)
    return name if len(name) <= width else f"…{name[1 - width :]}"


def _bars(settings: Settings) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    name = TextColumn("  {task.description}", markup=False)
    columns = [name, BarColumn(BAR), DownloadColumn(), TransferSpeedColumn()]
    console = Console(stderr=True, no_color=settings.color is False)
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=False)
