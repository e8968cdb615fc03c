"""What fails on the way is told as a check, and everything else is judged all the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.candidate import Candidate
from ssdconvert.errors import ConversionError
from ssdconvert.pictures import read_picture
from ssdconvert.report.result import Check, Verification
from ssdconvert.runners import Arrays, stopped
from ssdconvert.runners.openvino_runner import OpenvinoRunner
from ssdconvert.samples import PictureFile
from ssdconvert.stages.verify import verify


class Unreliable:
    """A runner that does something else on one call."""

    def __init__(self, runner: Any, on_call: int, act: Callable[[Arrays], Arrays]) -> None:
        self.runner, self.on_call, self.act, self.calls = runner, on_call, act, 0
        self.runtime, self.executed_on = runner.runtime, runner.executed_on
        self.execution_precision = runner.execution_precision

    def run(self, feeds: Any) -> Arrays:
        self.calls += 1
        outputs: Arrays = self.runner.run(feeds)
        return self.act(outputs) if self.calls == self.on_call else outputs


def stop(outputs: Arrays) -> Arrays:
    raise stopped("the model", "its engine", "out of memory\n  at line 7")


def not_a_number(outputs: Arrays) -> Arrays:
    return {name: np.full_like(array, np.nan) for name, array in outputs.items()}


def candidate(
    tiny: Any, on_call: int = 0, act: Callable[[Arrays], Arrays] = stop, **changes: Any
) -> Candidate:
    def opened() -> Unreliable:
        runner = OpenvinoRunner(tiny.irs["FP32"], "CPU", tiny.original.heads.names)
        return Unreliable(runner, on_call, act)

    return replace(Candidate("ir", "FP32", "CPU", False, opened, tiny.original.tensors), **changes)


def judge(tiny: Any, candidates: list[Candidate], original: Any = None, samples: Any = None) -> Verification:
    return verify(tiny.recipe, original or tiny.original, candidates, samples or tiny.pictures)


def bad(result: Verification) -> list[Check]:
    return [check for check in result.checks if check.status not in ("pass", "skipped")]


@pytest.mark.parametrize("act", [stop, not_a_number])
def test_an_original_that_fails_on_a_picture_is_inconclusive_there(tiny: Any, act: Any) -> None:
    original = replace(tiny.original, runner=Unreliable(tiny.original.runner, 1, act))
    result = judge(tiny, [candidate(tiny)], original)
    (check,) = bad(result)
    assert (check.hop, check.input, check.status) == ("original", "smooth.png", "inconclusive")
    assert result.verdict == "inconclusive"
    told = "smooth.png: the model does not run in its engine: out of memory at line 7"
    assert told in result.reason if act is stop else "NaN" in result.reason
    levels = {
        name: {c.level for c in result.checks if c.input == name and c.hop == "ir"}
        for name in result.pictures
    }
    assert levels == {"smooth.png": {"contract"}, "noise.png": {"contract", "heads", "detections"}}
    assert any(check.hop == "control" for check in result.checks)


def test_an_original_that_always_fails_leaves_the_contract(tiny: Any) -> None:
    class Broken(Unreliable):
        def run(self, feeds: Any) -> Arrays:
            raise stopped("it", "its engine", "no")

    original = replace(tiny.original, runner=Broken(tiny.original.runner, 0, stop))
    result = judge(tiny, [candidate(tiny)], original)
    assert result.verdict == "inconclusive"
    assert [check.level for check in result.checks if check.hop == "ir"] == ["contract", "contract"]


def test_a_candidate_that_stops_on_a_picture_fails_there(tiny: Any) -> None:
    result = judge(tiny, [candidate(tiny, on_call=2)])
    (check,) = bad(result)
    assert (check.hop, check.input, check.status, check.metric) == ("ir", "noise.png", "fail", "runs")
    assert "out of memory" in result.reason


def test_a_candidate_that_does_not_load_fails_and_the_others_are_judged(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<net/>")
    broken = candidate(tiny, open=lambda: OpenvinoRunner(tmp_path / "bad.xml"), precision="FP16")
    result = judge(tiny, [broken, candidate(tiny)])
    (check,) = bad(result)
    assert (check.precision, check.metric, check.status) == ("FP16", "loads", "fail")
    assert "cannot be read by OpenVINO" in check.reason
    assert result.verdict == "fail"
    assert {c.level for c in result.checks if c.precision == "FP32"} >= {"contract", "heads", "detections"}


def test_a_broken_promise_of_the_file_is_a_check(tiny: Any) -> None:
    promises = {"input": [], "labels": ["'dog' is missing", "2 names, expected 3"]}
    result = judge(tiny, [candidate(tiny, promises=lambda: promises)])
    told = {c.metric: (c.status, c.value, c.reason) for c in result.checks if c.output == "file"}
    assert told == {
        "input": ("pass", 0.0, ""),
        "labels": ("fail", 2.0, "'dog' is missing; 2 names, expected 3"),
    }
    assert result.verdict == "fail"


def test_a_picture_that_is_none_is_told_and_the_others_are_judged(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "none.jpg").write_text("no picture")
    files = [PictureFile("none.jpg", lambda: read_picture(tmp_path / "none.jpg")), *tiny.pictures]
    result = judge(tiny, [candidate(tiny)], samples=files)
    (check,) = bad(result)
    assert (check.hop, check.input, check.status) == ("input", "none.jpg", "inconclusive")
    assert result.verdict == "inconclusive"
    assert "cannot be read as a picture" in result.reason
    assert result.pictures == ("smooth.png", "noise.png")


def test_outputs_that_are_renamed_break_the_contract(tiny: Any) -> None:
    def rename(outputs: Arrays) -> Arrays:
        return {{"scores": "confidence"}.get(name, name): array for name, array in outputs.items()}

    result = judge(tiny, [candidate(tiny, on_call=1, act=rename)])
    assert {check.level for check in bad(result)} == {"contract"}
    assert "there is no output scores" in result.reason


def test_engines_say_what_stopped_them(tiny: Any) -> None:
    from ssdconvert.runners.onnx_runner import OnnxRunner

    wrong = {"picture": np.zeros((1, 3, 5, 5), np.float32)}
    runners = (tiny.original.runner, OpenvinoRunner(tiny.irs["FP32"]), OnnxRunner(tiny.simplified))
    for runner in (runners[1], runners[2]):
        with pytest.raises(ConversionError, match="does not run in"):
            runner.run(wrong)
    with pytest.raises(ConversionError, match="does not run in torch"):
        runners[0].run({"picture": np.zeros((1, 4, 48, 64), np.float32)})


def test_a_limit_that_is_looser_than_needed_is_warned_of(tiny: Any, tiny_recipe: Any) -> None:
    recipe = tiny_recipe(limits={"FP32": {"heads": 0.01, "iou": 0.5}, "FP16": {"heads": 0.2}})
    result = verify(recipe, tiny.original, [candidate(tiny)], tiny.pictures)
    assert result.verdict == "pass"
    assert [warning.partition(" of ")[0] for warning in result.warnings] == [
        "limits.FP32.heads",
        "limits.FP32.iou",
    ]
    assert judge(tiny, [candidate(tiny)]).warnings == ()


def test_memory_does_not_grow_with_the_pictures(tiny: Any) -> None:
    """Each picture is read once, when it is its turn, and none is kept."""
    import weakref

    alive: list[Any] = []

    def read(index: int) -> Any:
        assert sum(reference() is not None for reference in alive) <= 1
        pixels = np.full((300, 400, 3), index, np.uint8)
        alive.append(weakref.ref(pixels))
        return pixels

    files = [PictureFile(f"{index}", lambda index=index: read(index)) for index in range(12)]
    result = judge(tiny, [candidate(tiny)], samples=files)
    assert len(alive) == len(result.pictures) == 12
    assert sum(reference() is not None for reference in alive) == 0
