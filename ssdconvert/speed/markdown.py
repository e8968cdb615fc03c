"""A comparison of speeds as Markdown: bench.md."""

from collections.abc import Iterable

from ssdconvert.report.markdown import STAND_IN_WARNING
from ssdconvert.speed.result import Comparison
from ssdconvert.speed.tables import (
    Table,
    legend,
    load_text,
    measured_text,
    ratios_table,
    runs_text,
    times_table,
)


def to_markdown(comparison: Comparison) -> str:
    """Return the comparison for people: times, ratios, how each ran, what was left out."""
    versions = ", ".join(f"{name} {version}" for name, version in comparison.surroundings.versions.items())
    lines = [
        f"# {comparison.model}: speed",
        "",
        *([STAND_IN_WARNING, ""] if comparison.stand_in else []),
        f"{measured_text(comparison)}. {load_text(comparison).capitalize()}.",
        "",
        *_listed(f"warning: {one}" for one in comparison.warnings),
        "Latency in milliseconds:",
        "",
        *_table(times_table(comparison)),
        "",
    ]
    if len(comparison.rows) > 1:
        lines += [legend(comparison), "", *_table(ratios_table(comparison)), ""]
    lines += _listed(f"{row.name}: {runs_text(row)}" for row in comparison.rows)
    lines += _listed(f"{one.name} was left out: {one.reason}" for one in comparison.skipped)
    lines += _listed(
        f"settings of {device}: {', '.join(f'{key}={value}' for key, value in told.items())}"
        for device, told in comparison.settings.items()
    )
    return "\n".join([*lines, f"Versions: {versions}."]) + "\n"


def _listed(lines: Iterable[str]) -> list[str]:
    listed = [f"* {line}" for line in lines]
    return [*listed, ""] if listed else []


def _table(table: Table) -> list[str]:
    titles, *rows = table
    aligned = ["---", *["---:"] * (len(titles) - 1)]
    return [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in (titles, aligned, *rows)
    ]
