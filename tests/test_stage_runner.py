"""A stage runs when it must, tells how it ended, and takes the evidence away that it makes untrue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssdconvert.build_result import StageResult
from ssdconvert.errors import ConversionError, RecipeError
from ssdconvert.stage_runner import EVIDENCE, StageRunner
from ssdconvert.workspace import Workspace


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., StageRunner]:
    def call(*rerun: str) -> StageRunner:
        return StageRunner(Workspace(tmp_path / "out"), rerun, lambda result: None)

    return call


def making(stages: StageRunner, name: str, content: str = "x") -> Callable[[], str]:
    def action() -> str:
        stages.workspace.path(name).write_text(content)
        return f"made {name}"

    return action


def test_what_is_up_to_date_does_not_run(runner: Any) -> None:
    heard = []
    for inputs, rerun in (({"a": 1}, ()), ({"a": 1}, ()), ({"a": 2}, ()), ({"a": 2}, ("convert",))):
        stages = runner(*rerun)
        stages.run("convert", inputs, ["m.xml"], making(stages, "m.xml"))
        (result,) = stages.results
        heard.append((result.status, result.reason))
        assert stages.made == ["m.xml"]
    assert heard == [
        ("done", "not built yet"),
        ("cached", "up to date"),
        ("done", "a changed from 1 to 2"),
        ("done", "asked for"),
    ]


def test_evidence_goes_before_a_stage_runs(runner: Any) -> None:
    stages = runner()
    for name in EVIDENCE:
        stages.workspace.path(name).write_text("of earlier files")

    def action() -> str:
        assert not [name for name in EVIDENCE if stages.workspace.path(name).exists()]
        return ""

    stages.run("convert", {}, [], action)


def test_evidence_of_this_build_stays(runner: Any) -> None:
    stages = runner()
    stages.run("verify", {}, ["report.json"], making(stages, "report.json"))
    stages.run("detect", {}, ["reference.png"], making(stages, "reference.png"))
    assert stages.workspace.path("report.json").is_file()


def test_a_stage_that_is_up_to_date_leaves_the_evidence(runner: Any) -> None:
    first = runner()
    first.run("convert", {}, ["m.xml"], making(first, "m.xml"))
    first.workspace.path("manifest.json").write_text("{}")
    again = runner()
    again.run("convert", {}, ["m.xml"], making(again, "m.xml"))
    assert again.workspace.path("manifest.json").is_file()


def test_what_is_not_kept_runs_again(runner: Any) -> None:
    for expected in ("not built yet", "not built yet"):
        stages = runner()
        stages.run("verify", {}, ["report.json"], making(stages, "report.json"), keep=lambda: False)
        assert stages.results[-1].reason == expected


def test_a_failure_is_told_once_and_goes_on(runner: Any) -> None:
    stages = runner()

    def fails() -> str:
        with stages.failing("load", 0.0):
            raise ConversionError("no", hint="none")

    with pytest.raises(ConversionError, match="no"):
        stages.run("convert", {}, ["m.xml"], fails)
    assert [(result.name, result.status, result.reason) for result in stages.results] == [
        ("load", "failed", "no")
    ]
    again = runner()
    again.run("convert", {}, ["m.xml"], making(again, "m.xml"))
    assert again.results[-1].status == "done"


def test_a_full_disk_is_no_bug(runner: Any) -> None:
    stages = runner()

    def fails() -> str:
        raise OSError(28, "No space left on device")

    with pytest.raises(RecipeError, match=r"convert: .*No space left") as caught:
        stages.run("convert", {}, [], fails)
    assert (caught.value.stage, caught.value.exit_code) == ("output", 2)
    assert [result.status for result in stages.results] == ["failed"]


def test_the_time_of_a_stage_inside_is_its_own(runner: Any) -> None:
    stages = runner()

    def action() -> str:
        stages.tell(StageResult("load", "done", 1000.0))
        return ""

    stages.run("export", {}, [], action)
    load, export = stages.results
    assert (load.name, export.name) == ("load", "export")
    assert export.seconds == pytest.approx(-1000, abs=5)  # what it took, less what was told of inside


def test_outputs_that_are_possible(runner: Any) -> None:
    def ran(content: str) -> tuple[str, list[str]]:
        stages = runner()

        def action() -> str:
            blob = stages.workspace.path("m.blob")
            blob.unlink(missing_ok=True)
            if content:
                blob.write_text(content)
            return making(stages, "facts")()

        stages.run("compile", {"content": content}, ["facts"], action, possible=["m.blob"])
        return stages.results[0].reason, stages.made

    blob = runner().workspace.path("m.blob")
    assert ran("x") == ("not built yet", ["facts", "m.blob"])
    assert ran("x") == ("up to date", ["facts", "m.blob"])
    blob.write_text("damaged")
    assert ran("x")[0] == "m.blob was changed by somebody else"
    blob.unlink()
    assert ran("x")[0] == "m.blob is missing"
    assert ran("")[1] == ["facts"]
    assert ran("") == ("up to date", ["facts"])
    blob.write_text("of somebody else")
    assert ran("") == ("other files are asked for", ["facts"])
    assert not blob.exists()
