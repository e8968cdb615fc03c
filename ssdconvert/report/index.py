"""One page for several builds: the verdict of each, its worst numbers, and links to everything else."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from ssdconvert.plain_text import plain
from ssdconvert.report import words
from ssdconvert.report.builds import UNBUILT, UNVERIFIED, Build
from ssdconvert.report.html import bar, template
from ssdconvert.report.result import SHIPPED, Check, describe
from ssdconvert.versions import tool_versions

WORDS = {UNVERIFIED: "not verified", UNBUILT: "not built"}
LINKS = {"report": "report.html", "picture": "reference.png", "manifest": "manifest.json"}


@dataclass(frozen=True)
class Row:
    """What is shipped, where it ran, and the check that is nearest to its limit or farthest beyond."""

    name: str
    status: str
    ran: str
    worst: Check


def to_index(builds: Sequence[Build], folder: Path) -> str:
    """Return the page, which is to lie in `folder`: links are relative to it."""
    good = sum(build.verdict == "pass" for build in builds)
    seeded = sum(build.stand_in for build in builds)
    page = template("index.html.j2").render(
        builds=builds,
        good=good,
        seeded=seeded,
        verdict="pass" if builds and good == len(builds) else "fail",
        rows=_rows,
        links=lambda build: _links(build, folder),
        megabytes=lambda count: f"{count / 1e6:.1f} MB",
        word=lambda build: WORDS.get(build.verdict, build.verdict),
        shade=lambda build: "inconclusive" if build.verdict in WORDS else build.verdict,
        anchor=lambda build: quote(f"build-{plain(build.name)}", safe=""),
        words=words,
        bar=bar,
        version=tool_versions()["ssdconvert"],
    )
    return words.printable(page)


def _rows(build: Build) -> list[Row]:
    """Return a row for each file that is shipped, on each device and in each runtime."""
    if build.verification is None:
        return []
    shipped = [check for check in build.verification.checks if check.hop in (*SHIPPED, "myriad")]
    places = list(dict.fromkeys(check.candidate for check in shipped))
    shipped.sort(key=lambda check: places.index(check.candidate))
    rows = []
    for candidate, together in groupby(shipped, key=lambda check: check.candidate):
        checks = list(together)
        ran = sorted({f"{c.executed_on}, {c.execution_precision}".strip(", ") for c in checks} - {""})
        worst = max(checks, key=_nearness)
        rows.append(Row(describe(candidate), words.worst_status(checks), "; ".join(ran), worst))
    return rows


def _nearness(check: Check) -> tuple[int, float]:
    """Sort by how bad the status is, then by the share of the limit."""
    share = words.share_of_limit(check)
    rank = {"skipped": 0, "pass": 1, "inconclusive": 2, "fail": 3}[check.status]
    return rank, (math.inf if check.status == "fail" else -1.0) if share is None else share


def _links(build: Build, folder: Path) -> list[tuple[str, str]]:
    """Return words and addresses of what is there, below or beside the page's folder."""
    files = [(told, build.folder / name) for told, name in LINKS.items()] if build.verification else []
    if build.archive:
        files.append((build.archive.name, build.archive))
    found = []
    for told, path in files:
        relative = Path(os.path.relpath(path.absolute().resolve(), folder.absolute().resolve()))
        if path.is_file() and relative.parts[:2] != ("..", ".."):
            found.append((told, quote(os.fsencode(relative.as_posix()))))
    return found
