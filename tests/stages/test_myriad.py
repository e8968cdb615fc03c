"""MYRIAD without a stick: IR v10, what its plugin knows, a blob, and the numbers on the CPU of 2021.4.2."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from ssdconvert.build_plan import plan
from ssdconvert.candidates import candidates_of
from ssdconvert.devices import Machine
from ssdconvert.errors import MissingDevice
from ssdconvert.myriad import FACTS, files_for_myriad, read_compiled
from ssdconvert.report.result import Verification
from ssdconvert.stages.load import load
from ssdconvert.stages.myriad import compile_for_myriad
from ssdconvert.stages.verify import verify
from ssdconvert.toolchains import kind_of
from ssdconvert.toolchains.call import Toolchain

XML, BIN, BLOB = files_for_myriad("tiny")
STICK = Machine("MYRIAD")


@pytest.fixture(autouse=True)
def myriad(installed: Callable[[str], Toolchain]) -> Toolchain:
    return installed("myriad")


def judge(
    tiny: Any, folder: Path, required: tuple[str, ...] = (), stick: Machine = STICK, recipe: Any = None
) -> Verification:
    recipe = recipe or tiny.recipe
    listed = candidates_of(plan(recipe, None), tiny.original, folder, [stick])
    candidates = [one for one in listed if one.toolchain]
    return verify(recipe, tiny.original, candidates, tiny.pictures, required)


def changed_graph(tiny: Any, path: Path, kind: str, opset: int = 13) -> Path:
    """Write the simplified graph with an operation more between picture and network."""
    graph = onnx.load(tiny.simplified).graph
    first = next(node for node in graph.node if "picture" in node.input)
    first.input[0] = "bent"
    graph.node.insert(0, onnx.helper.make_node(kind, ["picture"], ["bent"], name="bent"))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=7)
    onnx.save(model, path)
    return path


def test_from_graph_to_blob(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    told = compile_for_myriad(tiny.recipe, tiny.original, tiny.simplified, tmp_path)
    compiled = read_compiled(tmp_path / FACTS)
    assert compiled.unsupported == ()
    assert compiled.operations > 50
    assert compiled.blob == (tmp_path / BLOB).stat().st_size > 10_000
    assert told.startswith(f"IR v10, {compiled.operations} operations, blob ")
    text = (tmp_path / XML).read_text()
    assert 'version="10"' in text
    assert 'type="DetectionOutput"' in text
    assert str(tmp_path) not in text

    result = judge(tiny, tmp_path)
    here = [check for check in result.checks if check.runtime == "openvino 2021.4.2"]
    assert {(check.hop, check.device, check.precision, check.status) for check in here} == {
        ("myriad", "CPU", "FP16", "pass")
    }
    assert {check.level for check in here} == {"heads", "detections", "contract"}
    (there,) = [check for check in result.checks if check.device == "MYRIAD"]
    assert there.status == "skipped"
    assert there.reason.startswith(
        "compiles for MYRIAD, numerics checked on CPU 2021.4.2, not run on a device (blob of "
    )
    assert result.verdict == "inconclusive"  # nothing that is deployed has run
    with pytest.raises(MissingDevice, match="not run on a device"):
        judge(tiny, tmp_path, ("MYRIAD",))

    wrong = judge(tiny, tmp_path, recipe=tiny_recipe(input__mean=[90, 110, 100]))
    assert wrong.verdict == "fail"
    assert wrong.reason.startswith("FP16 IR v10 for MYRIAD on CPU (openvino 2021.4.2): ")


@pytest.mark.slow
def test_the_same_bytes_every_time(tiny: Any, tmp_path: Path) -> None:
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        compile_for_myriad(tiny.recipe, tiny.original, tiny.simplified, folder)
        made.append({path: (folder / path).read_bytes() for path in (XML, BIN, BLOB)})
    assert made[0] == made[1]


def test_an_operation_that_it_does_not_know(tiny: Any, tmp_path: Path) -> None:
    bent = changed_graph(tiny, tmp_path / "bent.onnx", "Atan")
    told = compile_for_myriad(tiny.recipe, tiny.original, bent, tmp_path)
    assert "no blob: " in told
    assert "Atan" in told
    assert not (tmp_path / BLOB).exists()
    assert read_compiled(tmp_path / FACTS).unsupported == ("bent (Atan)",)
    result = judge(tiny, tmp_path)
    failed = [check for check in result.checks if check.metric == "compiles for MYRIAD"]
    assert [(check.status, check.output) for check in failed] == [("fail", "file")]
    assert "Atan" in failed[0].reason
    (there,) = [check for check in result.checks if check.device == "MYRIAD"]
    assert there.reason.startswith("does not compile for MYRIAD: ")


def test_files_of_an_earlier_recipe_go(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / BLOB).parent.mkdir()
    (tmp_path / BLOB).write_text("old")
    bad = tmp_path / "bad.onnx"
    bad.write_text("no graph")
    with pytest.raises(Exception, match="parsing"):
        compile_for_myriad(tiny.recipe, tiny.original, bad, tmp_path)
    assert not (tmp_path / BLOB).exists()


def test_a_graph_that_model_optimizer_refuses(tiny: Any, tmp_path: Path) -> None:
    bent = changed_graph(tiny, tmp_path / "bent.onnx", "Nonsense")
    told = compile_for_myriad(tiny.recipe, tiny.original, bent, tmp_path)
    assert told.startswith("no IR v10: ")
    assert "Nonsense" in told
    assert str(tmp_path) not in (tmp_path / FACTS).read_text()
    assert not any((tmp_path / path).exists() for path in (XML, BIN, BLOB))
    result = judge(tiny, tmp_path)
    (there,) = [check for check in result.checks if check.runtime.startswith("openvino") or not check.runtime]
    assert (there.device, there.status) == ("MYRIAD", "skipped")
    assert there.reason.startswith("cannot be made for MYRIAD: ")
    with pytest.raises(MissingDevice, match="Nonsense"):
        judge(tiny, tmp_path, ("MYRIAD",))


@pytest.mark.slow
def test_a_rule_that_clips_and_takes_every_candidate(tiny: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    recipe = tiny_recipe(detections__clip=True, detections__per_class=100_000)
    original = load(recipe, {"tiny.pth": tiny.checkpoint})
    compile_for_myriad(recipe, original, tiny.simplified, tmp_path)
    checked = replace(tiny, recipe=recipe, original=original)
    stick = Machine("MYRIAD", settings={"MYRIAD_CUSTOM_LAYERS": "kernels.xml"})  # which a CPU refuses
    here = [
        check
        for check in judge(checked, tmp_path, stick=stick).checks
        if check.runtime == "openvino 2021.4.2"
    ]
    assert {check.status for check in here} == {"pass"}
    assert "suppression" in {check.metric for check in here}
    result = judge(checked, tmp_path, recipe=tiny_recipe())
    (broken,) = [check for check in result.checks if check.metric == "suppression"]
    assert broken.status == "fail"
    assert "clip yes, expected no" in broken.reason


def test_the_others_of_a_build_for_a_stick_alone(tiny: Any, tmp_path: Path, ov_2022: Toolchain) -> None:
    planned = plan(tiny.recipe, None)
    listed = candidates_of(planned, tiny.original, tmp_path, [STICK], toolchains=[ov_2022])
    assert [(one.hop, one.precision, one.device, one.toolchain) for one in listed if one.hop == "ir"] == [
        ("ir", "FP32", "CPU", ""),
        ("ir", "FP32", "CPU", "ov-2022"),
        ("ir", "FP16", "CPU", ""),
        ("ir", "FP16", "CPU", "ov-2022"),
        ("ir", "FP16", "MYRIAD", "myriad"),
    ]


@pytest.fixture
def ov_2022() -> Toolchain:
    return Toolchain(kind_of("ov-2022"), Path("nowhere"))  # nothing of it is started
