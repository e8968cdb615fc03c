"""The Markdown report in the summary of a step of GitHub Actions, where that is what runs us."""

import os
from collections.abc import Iterable

from ssdconvert.cli.options import Settings
from ssdconvert.plain_text import plain
from ssdconvert.report.markdown import to_markdown
from ssdconvert.report.result import Verification

VARIABLE = "GITHUB_STEP_SUMMARY"


def append_to_step_summary(verifications: Iterable[Verification | None], settings: Settings) -> None:
    """Append reports to the file that the runner names, if it names one; a failure to do so is a warning."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            for verification in verifications:
                if verification is not None:
                    file.write(plain(to_markdown(verification)) + "\n")
    except OSError as error:
        settings.progress(f"warning: {VARIABLE} names {path}, which cannot be written: {error.strerror}")
