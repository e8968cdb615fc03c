"""Published files from anywhere into the cache: where they may come from, how they are had, what is checked.

`ssdconvert.stages.fetch` puts these together. A file that fails a check never gets its name in the cache.
"""


class Unavailable(Exception):
    """An address does not give its file. `transient`: it may later, after `wait` seconds if the server said so."""

    def __init__(self, reason: str, *, transient: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.transient = transient
        self.wait = wait


class WrongFile(Exception):
    """An address gives another file than the one that is meant."""
