from pathlib import Path
from typing import Any

from ssdconvert.fetching.options import Fetched
from ssdconvert.stages.manifest import artefact_entries, manifest_document
from ssdconvert.workspace import Workspace, digest_of


def test_the_manifest_ties_everything_together(tmp_path: Path, tiny_recipe: Any) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"graph")
    artefacts = artefact_entries(workspace, {"a.onnx": None})
    assert artefacts == [
        {"path": "a.onnx", "sha256": digest_of(tmp_path / "a.onnx"), "bytes": 5, "precision": None}
    ]
    files = [Fetched("tiny.pth", tmp_path / "tiny.pth", "ab" * 32, 7, "cache", True)]
    document = manifest_document(
        tiny_recipe(), files, None, artefacts, "pass", "cd" * 32, {"devices": ["CPU"]}
    )
    assert document["recipe"]["name"] == "tiny"
    assert document["sources"] == [{"name": "tiny.pth", "sha256": "ab" * 32, "bytes": 7, "pinned": True}]
    assert document["artifacts"] == artefacts
    assert document["verdict"] == "pass"
    assert document["run_configuration"] == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    assert document["stages"]["convert"]["reverse_input_channels"] is True
    assert document["stages"]["verify"]["devices"] == ["CPU"]
    assert document["stages"]["verify"]["limits"]["FP32"]["heads"] == 1e-4
    assert document["tools"]["openvino"] == "2024.6.0"
    assert str(tmp_path) not in str(document)
    assert "myriad" not in document["stages"]


def test_what_made_files_for_myriad_is_named(tiny_recipe: Any) -> None:
    made = [{"path": "MYRIAD/tiny.xml"}]
    document = manifest_document(tiny_recipe(), [], None, made, "pass", "cd" * 32, {})
    told = document["stages"]["myriad"]
    assert told["toolchain"]["openvino-dev"] == "2021.4.2"
    assert told["beside"] == {"openvino": "2021.3.0"}
