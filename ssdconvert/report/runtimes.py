"""What is deployed, a column for each device and OpenVINO that it ran in, a row for each measurement."""

from collections.abc import Iterable
from dataclasses import dataclass

from ssdconvert.report.result import SHIPPED, Check, Verification
from ssdconvert.report.words import limit_text, measured, value_text, worst_checks

Column = tuple[str, str]  # device, runtime


@dataclass(frozen=True)
class Row:
    """A measurement of the files of one precision; a cell is None where a column has no such file."""

    precision: str
    measured: str
    limit: str
    cells: tuple[Check | None, ...]


@dataclass(frozen=True)
class RuntimeTable:
    """Columns in words, and the rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def runtime_table(verification: Verification) -> RuntimeTable | None:
    """Return the table; None where there is but one column, which other tables tell better.

    Cells are the worst of all pictures. Contracts have rows where one is broken.
    """
    checks = [check for check in worst_checks(verification.checks) if check.hop in (*SHIPPED, "myriad")]
    columns = list(dict.fromkeys(_column(check) for check in checks))
    if len(columns) < 2:
        return None
    told = [check for check in checks if check.level != "contract" or check.status == "fail"]
    keys = dict.fromkeys((check.precision, check.level, measured(check)) for check in told if check.runtime)
    rows = [_row(key, told, columns) for key in sorted(keys, key=lambda key: key[0], reverse=True)]
    return RuntimeTable(tuple(_words(column) for column in columns), tuple(rows))


def cell_text(check: Check | None) -> str:
    """Return a cell in words: the value, and the status where it is not `pass`."""
    if check is None:
        return ""
    if check.status == "pass":
        return value_text(check)
    return check.status if check.value is None else f"{value_text(check)}, {check.status}"


def _column(check: Check) -> Column:
    return check.device, check.runtime


def _words(column: Column) -> str:
    device, runtime = column
    return f"{device}, {runtime}" if runtime else device


def _row(key: tuple[str, str, str], checks: Iterable[Check], columns: Iterable[Column]) -> Row:
    precision, level, name = key
    here = {
        _column(check): check
        for check in checks
        if check.precision == precision
        and (not check.runtime or (check.level, measured(check)) == (level, name))
    }
    limits = dict.fromkeys(limit_text(check) for check in here.values() if check.limit is not None)
    return Row(precision, name, " or ".join(limits), tuple(here.get(column) for column in columns))
