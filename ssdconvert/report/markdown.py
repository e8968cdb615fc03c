"""The report as Markdown: the verdict first, then a row for each file that was judged."""

from collections.abc import Iterable

from ssdconvert.report.result import Check, Verification, describe, divergence_text
from ssdconvert.report.runtimes import cell_text, runtime_table
from ssdconvert.report.words import worst_checks

STAND_IN_WARNING = "**STAND-IN**: the weights come from a seed and detect nothing real. Do not deploy it."


def to_markdown(verification: Verification) -> str:
    """Return the report of a verification."""
    lines = [
        f"# {verification.model}: {verification.verdict}",
        "",
        *([STAND_IN_WARNING, ""] if verification.stand_in else []),
        *([verification.reason, ""] if verification.reason else []),
        f"Reference: the original in {verification.reference}, {verification.reference_detections or 0} detections "
        f"on {len(verification.pictures)} pictures ({', '.join(verification.pictures)}).",
        "",
        *_warnings(verification),
        *_traces(verification),
        *_runtimes(verification),
        "| candidate | level | measured | worst value | limit | smallest limit that passes | picture | status |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(check) for check in worst_checks(verification.checks)]
    return "\n".join(lines) + "\n"


def _runtimes(verification: Verification) -> list[str]:
    """Return the table of runtimes, if there is one."""
    table = runtime_table(verification)
    if table is None:
        return []
    titles = ["weights", "measured", "limit", *table.columns]
    rows = [
        [row.precision, row.measured, row.limit, *(cell_text(check) for check in row.cells)]
        for row in table.rows
    ]
    return [*(_line(cells) for cells in (titles, ["---"] * len(titles), *rows)), ""]


def _traces(verification: Verification) -> list[str]:
    lines = [f"* {divergence_text(trace)}" for trace in verification.traces]
    return (
        ["Tensors in order of execution, each beside that of the file before:", "", *lines, ""]
        if lines
        else []
    )


def _warnings(verification: Verification) -> list[str]:
    lines = [f"* warning: {warning}" for warning in verification.warnings]
    return [*lines, ""] if lines else []


def _row(check: Check) -> str:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    status = check.status + (f": {check.reason}" if check.reason else "")
    measured = f"{check.output} {check.metric}".strip()
    cells = [
        describe(check.candidate), check.level, measured, number(check.value), number(check.limit),
        number(check.required), check.input, status,
    ]  # fmt: skip
    return _line(cells)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
