"""Every mistake is caught, by the checks that docs/what-the-gate-catches.md names; what is right passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import ending, files, network  # noqa: F401  # each registers its mistakes
from .conftest import FILE, caught_by, copied
from .surgery import MISTAKES, MODELS, UNSEEN, Right, read, save

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "what-the-gate-catches.md").read_text("utf-8")
BY_NAME = {mistake.name: mistake for mistake in (*MISTAKES, *UNSEEN)}
NONE = "n/a: "


def section(title: str) -> str:
    """Return what stands under a title of the document, up to the next one."""
    return DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows_of(title: str) -> dict[str, list[str]]:
    """Return the rows of a section's tables by mistake: a cell for each model."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = {name: cells for name, *cells in rows if name in BY_NAME}
    heads = [row for row in rows if row[0] == "mistake"]
    assert heads == [["mistake", *MODELS]] * len(heads)
    assert len(lines) == len(found) + 2 * len(heads), "a row of no mistake, or two of one"
    return found


TABLES = {"FP32": rows_of("In an FP32 file"), "FP16": rows_of("In an FP16 file alone")}
CASES = [
    (precision, name, model)
    for model in MODELS
    for precision, rows in TABLES.items()
    for name in rows
    if model not in BY_NAME[name].not_for
]


@pytest.mark.parametrize(("precision", "name", "model"), CASES, ids=str)
def test_it_is_caught_by_the_checks_that_the_document_names(
    bench_of: Callable[[str], Any], tmp_path: Path, precision: str, name: str, model: str
) -> None:
    result = bench_of(model).judge(precision, tmp_path, BY_NAME[name].write)
    assert result.verdict == "fail"
    assert caught_by(result) == TABLES[precision][name][MODELS.index(model)]
    assert result.reason.startswith(f"{precision} IR on CPU")


def saved_again(right: Right, precision: str, target: Path) -> None:
    save(read(right.irs[precision]), target)


@pytest.mark.parametrize("write", [copied, saved_again])
@pytest.mark.parametrize("precision", list(TABLES))
@pytest.mark.parametrize("model", MODELS)
def test_what_is_right_passes(
    bench_of: Callable[[str], Any], tmp_path: Path, model: str, precision: str, write: Any
) -> None:
    """So it is the mistake that is caught, and not the way in which it is made."""
    result = bench_of(model).judge(precision, tmp_path, write)
    assert result.verdict == "pass", result.reason


@pytest.mark.parametrize(
    ("name", "model"), [(m.name, model) for m in UNSEEN for model in MODELS if model not in m.not_for]
)
def test_what_the_document_says_to_pass_does(
    bench_of: Callable[[str], Any], tmp_path: Path, name: str, model: str
) -> None:
    """Else the document would make the gate weaker than it is."""
    result = bench_of(model).judge("FP32", tmp_path, BY_NAME[name].write)
    assert result.verdict == "pass", result.reason
    assert f"* {name}:" in section("What no check sees")


def test_every_mistake_has_its_row() -> None:
    assert set(TABLES["FP32"]) == {mistake.name for mistake in MISTAKES}
    assert len(BY_NAME) == len(MISTAKES) + len(UNSEEN)
    assert set(TABLES["FP16"]) < set(TABLES["FP32"])
    for model in MODELS:
        assert sum(model not in mistake.not_for for mistake in MISTAKES) >= 25


@pytest.mark.parametrize("precision", list(TABLES))
def test_a_model_that_cannot_have_a_mistake_says_why(precision: str) -> None:
    for name, cells in TABLES[precision].items():
        told = zip(MODELS, cells, strict=True)
        absent = {model: cell.removeprefix(NONE) for model, cell in told if cell.startswith(NONE)}
        assert absent == BY_NAME[name].not_for, name


def test_what_no_output_shows_is_told() -> None:
    """Those that on every model nothing but the file's own promises catches."""
    for name, cells in TABLES["FP32"].items():
        caught = {part for cell in cells if not cell.startswith(NONE) for part in cell.split(", ")}
        assert (caught <= {*FILE}) == (f"* {name}:" in section("What no output shows")), name
