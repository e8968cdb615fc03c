"""What a run refuses before it builds anything, and what it removes of an earlier one."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from ssdconvert.build_plan import plan
from ssdconvert.build_result import BuildOptions
from ssdconvert.build_run import BuildRun
from ssdconvert.catalog import Catalog
from ssdconvert.errors import RecipeError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.quantisation.cost import COST
from ssdconvert.quantisation.options import CalibrationOptions
from ssdconvert.workspace import Workspace, ir_files

MakeRun = Callable[..., BuildRun]


@pytest.fixture
def run_of(tmp_path: Path) -> MakeRun:
    """Return the run of ssd-demo in some precisions, calibrated as is said."""

    def made(precisions: tuple[str, ...], **calibration: object) -> BuildRun:
        entry = Catalog().find("ssd-demo")
        options = BuildOptions(
            tmp_path / "out",
            FetchOptions(tmp_path / "cache"),
            calibration=CalibrationOptions(**calibration),  # type: ignore[arg-type]
        )
        planned = plan(entry.recipe, precisions)
        return BuildRun(entry, planned, options, Workspace(options.output), lambda stage: None)

    return made


@pytest.mark.parametrize("given", [{"source": "pictures"}, {"samples": 5}, {"max_drop": 0.5}])
def test_how_to_calibrate_is_of_int8_alone(run_of: MakeRun, given: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="INT8, which is not asked for"):
        run_of(("FP32", "FP16"), **given).refuse_uncalibrated()
    run_of(("FP32",)).refuse_uncalibrated()
    run_of(("FP32", "INT8"), **{**given, "source": None}).refuse_uncalibrated()


def test_8_bits_that_are_removed_are_told_once(run_of: MakeRun, caplog: pytest.LogCaptureFixture) -> None:
    run = run_of(("FP32",))
    files = [run.workspace.path(path) for path in (*ir_files("ssd-demo", "INT8"), COST)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with caplog.at_level(logging.WARNING):
        run.remove_quantised()
        run.remove_quantised()
    assert not any(file.exists() for file in files)
    assert [record.getMessage() for record in caplog.records] == [
        "the INT8 IR of an earlier build is removed: INT8 is not among the precisions that are asked for"
    ]
