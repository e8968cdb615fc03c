"""Report: what verification found, for people (Markdown, HTML) and for continuous integration (JUnit XML)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssdconvert.plain_text import plain
from ssdconvert.recipe import Recipe
from ssdconvert.report.builds import Build
from ssdconvert.report.comparison import PictureRow, picture_row
from ssdconvert.report.html import to_html
from ssdconvert.report.index import to_index
from ssdconvert.report.junit import builds_to_junit, to_junit
from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import Box, Verification
from ssdconvert.samples import PictureFile
from ssdconvert.ssd.detections import Detections
from ssdconvert.stage_runner import REPORTS
from ssdconvert.versions import tool_versions
from ssdconvert.workspace import make_folder, written_atomically

MOST_PICTURES = 8  # in the page, which so stays under 3 MB


def report(recipe: Recipe, verification: Verification, pictures: Sequence[PictureFile], folder: Path) -> str:
    """Write `REPORTS` into a folder and return what is told of them; `pictures` are what it was verified on."""
    rows = picture_rows(recipe, verification, pictures)
    texts = {
        "report.html": to_html(verification, rows, tool_versions(), recipe.title),
        "report.md": to_markdown(verification),
        "report.xml": to_junit(verification),
    }
    for name, text in texts.items():
        with written_atomically(folder / name) as temporary:
            temporary.write_text(plain(text), "utf-8")
    return ", ".join(REPORTS)


def report_of_builds(builds: Sequence[Build], folder: Path) -> tuple[Path, Path]:
    """Write the page and the JUnit file of several builds into a folder, and return their paths.

    Raises RecipeError where the folder cannot be made.
    """
    texts = {"index.html": to_index(builds, folder), "junit.xml": builds_to_junit(builds)}
    make_folder(folder)
    for name, text in texts.items():
        with written_atomically(folder / name) as temporary:
            temporary.write_text(plain(text), "utf-8")
    return folder / "index.html", folder / "junit.xml"


def picture_rows(
    recipe: Recipe, verification: Verification, pictures: Sequence[PictureFile]
) -> list[PictureRow]:
    """Draw what was detected, first on the pictures on which a check failed; `MOST_PICTURES` at most."""
    files = {picture.name: picture for picture in pictures}
    failed = {check.input for check in verification.checks if check.status == "fail"}
    shown = sorted(
        (one for one in verification.shown if one.input in files), key=lambda one: one.input not in failed
    )
    return [
        picture_row(
            recipe,
            one.input,
            files[one.input].read(),
            _detections(one.original),
            None if one.converted is None else _detections(one.converted),
        )
        for one in shown[:MOST_PICTURES]
    ]


def _detections(boxes: Sequence[Box]) -> Detections:
    return Detections(
        np.array([box.box for box in boxes], np.float32).reshape(-1, 4),
        np.array([box.label for box in boxes], np.int64),
        np.array([box.score for box in boxes], np.float32),
    )
