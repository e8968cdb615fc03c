"""`build -j`: several recipes at once, each line of progress with its recipe's name in front."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ssdconvert.cli.fetch_progress import fetch_progress
from ssdconvert.cli.log import log_of_recipe
from ssdconvert.cli.options import Settings
from ssdconvert.errors import SsdconvertError

if TYPE_CHECKING:
    from ssdconvert.build_result import BuildResult
    from ssdconvert.build_worker import Job
    from ssdconvert.fetching.events import Tell


def build_at_once(
    planned: "Sequence[Job | SsdconvertError]", workers: int, settings: Settings
) -> "list[BuildResult | SsdconvertError]":
    """Build recipes in so many processes, and return what became of each, in their order.

    One that cannot be planned is a failure already. What is no expected failure, as of a full disk or a bug, is
    raised once the others are built.
    """
    from ssdconvert.build_pool import build_in_pool

    for failure in planned:
        if isinstance(failure, SsdconvertError):
            settings.progress(_told(failure))
    jobs = [job for job in planned if not isinstance(job, SsdconvertError)]
    with ExitStack() as shown:
        recipes = [_Progress(job, settings, shown) for job in jobs]
        built = build_in_pool(
            jobs,
            workers,
            lambda index, kind, what: recipes[index].tell(kind, what),
            logging.getLogger().level,
        )
    outcomes: list[BuildResult | SsdconvertError] = []
    following = iter(built)
    for job in planned:
        outcome = job if isinstance(job, SsdconvertError) else next(following)
        if isinstance(outcome, Exception) and not isinstance(outcome, SsdconvertError):
            raise outcome
        outcomes.append(outcome)
    return outcomes


class _Progress:
    """What one of the recipes tells on stderr."""

    def __init__(self, job: "Job", settings: Settings, shown: ExitStack) -> None:
        self.job, self.settings = job, replace(settings, recipe=job.entry.recipe.name)
        self.fetched: Tell = shown.enter_context(fetch_progress(self.settings, bars=False))

    def tell(self, kind: str, what: Any) -> None:
        """Print a message of the pool."""
        from ssdconvert.cli.render import stage_line

        if kind == "started":
            self.settings.progress(self.job.entry.recipe.title)
        elif kind == "stage":
            self.settings.event("stage", stage_line(what, self.settings.verbose), what.to_json())
        elif kind == "waiting":
            self.settings.progress(f"waiting: another process builds in {self.job.options.output}")
        elif kind == "fetch":
            self.fetched(what)
        elif kind == "log":
            log_of_recipe(self.job.entry.recipe.name, *what)
        elif kind == "failed" and isinstance(what, SsdconvertError):
            self.settings.progress(_told(what))


def _told(error: SsdconvertError) -> str:
    return f"error[{error.stage}]: {error.message}"
