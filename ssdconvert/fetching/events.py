"""What a fetch tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["queued", "waiting", "started", "progress", "retry", "refused", "finished", "failed"]


@dataclass(frozen=True)
class Event:
    """One thing that happened to one file; any thread may tell it.

    queued: it is one of those that are wanted. waiting: another process fetches the same file. started, progress:
    `done` of `total` bytes are here, those of an earlier run included. retry: the transfer broke and goes on in
    `pause` seconds, `reason` says why. refused: this origin is given up, the next is tried. finished, failed: the
    last event of a file. `origin` is an address without secrets, or "cache"; `total` is None where nobody knows it.
    """

    kind: Kind
    recipe: str
    file: str
    origin: str = ""
    done: int = 0
    total: int | None = None
    reason: str = ""
    pause: float = 0.0


Tell = Callable[[Event], None]


def silent(_: Event) -> None:
    """Tell nobody."""
