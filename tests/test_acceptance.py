"""A build is accepted, or not, by what its original said, where the original cannot run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert import acceptance_file, ir_description
from ssdconvert.acceptance import accept
from ssdconvert.build_result import BuildOptions
from ssdconvert.catalog import Catalog
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError, MissingDevice
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.pipeline import build
from ssdconvert.recipe import load_recipe
from ssdconvert.release import claims

BuildHere = Callable[..., Any]
WITHOUT_ORIGINAL = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx", "onnxruntime", "onnxsim", "cv2", "PIL", "jinja2"}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
from pathlib import Path
from ssdconvert.acceptance import accept
print(accept(Path(sys.argv[1])).verdict)
"""


@pytest.fixture
def build_of(recipe_file: Callable[..., Path], build_here: BuildHere) -> Callable[..., Path]:
    def build(
        document: Mapping[str, Any],
        output: str = "out",
        changes: Mapping[str, Any] | None = None,
        **how: Any,
    ) -> Path:
        path = recipe_file(document, changes)
        result = build_here(path, output, **how)
        assert result.verdict == "pass", result.verification.reason
        return result.output

    return build


@pytest.fixture(scope="module")
def built_once(
    documents: Mapping[str, Mapping[str, Any]], own_nms_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A build of an ONNX file with its own NMS, never changed."""
    folder = tmp_path_factory.mktemp("accepted")
    recipe = folder / "own-nms.yaml"
    recipe.write_text(json.dumps(documents["onnx"]), "utf-8")
    (folder / "mirror" / "own-nms").mkdir(parents=True)
    shutil.copyfile(own_nms_file, folder / "mirror" / "own-nms" / own_nms_file.name)
    options = BuildOptions(folder / "out", FetchOptions(folder / "cache", str(folder / "mirror")))
    assert build(Catalog().find(str(recipe)), options).verdict == "pass"
    return folder / "out"


@pytest.fixture
def own_nms_build(built_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(built_once, tmp_path / "copy")


def failed(folder: Path) -> set[tuple[str, str]]:
    return {(check.level, check.output) for check in accept(folder).checks if check.status == "fail"}


def test_a_build_is_accepted_on_the_pictures_of_its_recipe(own_nms_build: Path) -> None:
    found = accept(own_nms_build)
    assert (found.verdict, found.reason) == ("pass", "")
    assert found.reference_detections
    assert set(found.pictures) == {"portrait.jpg", "shapes-1.jpg"}
    assert found.reference.startswith("onnxruntime ")
    assert found.reference.endswith(", as recorded")
    judged = {(check.hop, check.precision, check.level) for check in found.checks}
    levels = ("contract", "heads", "detections")
    assert judged == {("ir", precision, level) for precision in ("FP32", "FP16") for level in levels}


@pytest.mark.parametrize("units", ["normalised", "pixels"])
def test_a_ready_ir_is_compared_with_what_it_said_elsewhere(
    ready: Callable[[str], Mapping[str, Any]], build_of: Callable[..., Path], units: str
) -> None:
    found = accept(build_of(ready(units)))
    assert found.verdict == "pass"
    assert any(check.level == "detections" and check.statistics.get("matched") for check in found.checks)


@pytest.mark.usefixtures("caffe_toolchain")
def test_a_caffe_network_is_accepted(caffe: Mapping[str, Any], build_of: Callable[..., Path]) -> None:
    found = accept(build_of(caffe))
    assert found.verdict == "pass"
    assert any(check.level == "heads" and check.status == "pass" for check in found.checks)


@pytest.mark.parametrize("tail", ["heads", "detection-output"])
def test_the_tail_is_that_of_the_manifest(
    own_nms: Mapping[str, Any], build_of: Callable[..., Path], tail: str
) -> None:
    assert accept(build_of(own_nms, tail=tail)).verdict == "pass"


def test_another_model_is_refused(
    own_nms: Mapping[str, Any], own_nms_build: Path, build_of: Callable[..., Path]
) -> None:
    other = build_of(own_nms, "other", {"input.mean": [90.0, 90.0, 90.0]})
    shutil.copytree(other / "FP32", own_nms_build / "FP32", dirs_exist_ok=True)
    assert accept(own_nms_build).verdict == "fail"
    assert ("heads", "class_probabilities") in failed(own_nms_build)
    assert ("contract", "file") in failed(own_nms_build)  # what it says of itself


def test_a_build_of_another_version_is_judged_by_what_it_does(
    own_nms_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ir_description, "RUN_CONFIGURATION", {"NUM_STREAMS": "9"})
    assert failed(own_nms_build) == {("contract", "file")}
    monkeypatch.setattr(claims, "__version__", "99.0")
    assert accept(own_nms_build).verdict == "pass"


def test_a_lower_precision_alone_is_accepted(own_nms_build: Path) -> None:
    manifest = own_nms_build / "manifest.json"
    shutil.rmtree(own_nms_build / "FP32")
    shutil.rmtree(own_nms_build / ".ssdconvert")
    manifest.write_text(manifest.read_text("utf-8").replace('"FP32/', '"gone/'), "utf-8")
    found = accept(own_nms_build)
    assert found.verdict == "pass"
    assert {check.precision for check in found.checks} == {"FP16"}


def test_it_needs_nothing_that_runs_originals(own_nms_build: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ORIGINAL, str(own_nms_build)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "pass"), done.stderr


def test_an_absent_device_is_skipped_unless_it_is_required(own_nms_build: Path) -> None:
    found = accept(own_nms_build, [Machine("NPU"), Machine("CPU")])
    assert found.verdict == "pass"
    assert {check.device for check in found.checks if check.status == "skipped"} == {"NPU"}
    assert accept(own_nms_build, [Machine("NPU")]).verdict == "inconclusive"
    with pytest.raises(MissingDevice):
        accept(own_nms_build, [Machine("NPU")], ["NPU"])


@pytest.mark.parametrize("left", [0, 10, 5000])
def test_a_damaged_record_is_told_by_its_name(own_nms_build: Path, left: int) -> None:
    path = own_nms_build / "acceptance.npz"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ConversionError, match=r"acceptance\.npz cannot be read"):
        accept(own_nms_build)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("precision", "FP7"),
        ("tensors", []),
        ("0/pixels", np.zeros((5, 5), np.uint8)),
        ("0/pixels", np.zeros((48, 64, 3), np.float32)),
        ("0/heads/class_probabilities", np.array("none")),
    ],
)
def test_a_record_of_another_form_is_told(own_nms_build: Path, key: str, value: Any) -> None:
    path = own_nms_build / "acceptance.npz"
    with np.load(path) as arrays:
        changed = dict(arrays)
    about = json.loads(str(changed["about"]))
    assert key in changed or key in about
    if key in changed:
        changed[key] = value
    else:
        changed["about"] = np.array(json.dumps(about | {key: value}))
    with path.open("wb") as file:
        np.savez(file, **changed)
    with pytest.raises(ConversionError, match=r"acceptance\.npz cannot be read"):
        accept(own_nms_build)


def test_a_record_that_is_encrypted(own_nms_build: Path) -> None:
    path = own_nms_build / "acceptance.npz"
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=r"acceptance\.npz cannot be read"):
        accept(own_nms_build)


@pytest.mark.parametrize("name", ["acceptance.npz", "manifest.json"])
def test_a_missing_file_is_told_by_its_name(own_nms_build: Path, name: str) -> None:
    (own_nms_build / name).unlink()
    with pytest.raises(ConversionError, match=name):
        accept(own_nms_build)


def test_of_large_heads_two_pictures_are_kept(
    own_nms: Mapping[str, Any], build_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptance_file, "ENOUGH", 1)
    monkeypatch.setattr(acceptance_file, "LEAST_PICTURES", 1)
    assert accept(build_of(own_nms)).pictures in (("portrait.jpg",), ("shapes-1.jpg",))


def test_the_record_holds_no_pickle_and_is_the_same_each_time(
    own_nms: Mapping[str, Any], own_nms_build: Path, build_of: Callable[..., Path]
) -> None:
    again = build_of(own_nms, "again") / "acceptance.npz"
    assert again.read_bytes() == (own_nms_build / "acceptance.npz").read_bytes()
    with np.load(again, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_the_original_itself_is_not_there(own_nms_build: Path) -> None:
    recipe = load_recipe(own_nms_build / "recipe.yaml")
    original, references = acceptance_file.read_acceptance(own_nms_build / "acceptance.npz", recipe)
    assert original.model is None
    assert references
    with pytest.raises(ConversionError, match="not here"):
        original.runner.run({})
