"""Originals that are not what their recipe says: the exit code, the message, and nothing half-written.

Each test writes a recipe into a folder of its own, with its files in a folder `mirror`.
"""

import io
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssdconvert.catalog import shipped_recipes_folder
from ssdconvert.outputs import STATIC


@pytest.fixture
def refused(run: Callable[..., Any], tmp_path: Path) -> Callable[..., None]:
    """Build a recipe that must be refused, from the mirror; see that nothing is left of the build."""

    def call(recipe: Path, code: int, stage: str, *words: str, arguments: tuple[str, ...] = ()) -> None:
        given = {path for path in tmp_path.rglob("*") if path.is_file()}
        ended = run("build", recipe, "--mirror", "mirror", *arguments)
        assert ended.code == code, ended.err
        assert ended.err.count("error[") == 1, ended.err
        assert f"\nerror[{stage}]: " in f"\n{ended.err}", ended.err
        assert ended.err.count("\nhint: ") == 1, ended.err
        assert "Traceback" not in ended.err
        assert "bug" not in ended.err
        for word in words:
            assert word in ended.err, ended.err
        assert ended.out == ""
        made = {path for path in tmp_path.rglob("*") if path.is_file()} - given
        private = tmp_path / "build" / recipe.stem / ".ssdconvert"
        assert {path.relative_to(private).as_posix() for path in made if path.is_relative_to(private)} <= {
            "lock", "recipe", "stages.json", "exported.onnx",
        }  # fmt: skip
        assert [path for path in made if not path.is_relative_to(private)] == []
        assert [path for path in tmp_path.rglob("*/.tmp-*")] == []

    return call


def shipped(name: str, folder: Path, files: Mapping[str, bytes]) -> Path:
    """A shipped recipe with other files, unpinned."""
    import yaml

    document = yaml.safe_load((shipped_recipes_folder() / f"{name}.yaml").read_text("utf-8"))
    document["source"]["files"] = [{"name": file, "urls": []} for file in files]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    (folder / "mirror" / name).mkdir(parents=True)
    for file, content in files.items():
        (folder / "mirror" / name / file).write_bytes(content)
    return path


# --- PyTorch


def state_of(family: str, height: int, width: int, classes: int, **options: Any) -> bytes:
    import torch

    from ssdconvert.networks import build_network

    content = io.BytesIO()
    torch.save(build_network(family, height, width, classes, options).state_dict(), content)
    return content.getvalue()


def test_a_checkpoint_of_another_family(refused: Callable[..., None], tmp_path: Path) -> None:
    content = state_of("ultraface", 240, 320, 2, variant="rfb")
    recipe = shipped("ssd-demo", tmp_path, {"model.pytorch": content})
    refused(recipe, 4, "load", "model.pytorch", "missing", "unexpected", "another network")


def test_a_checkpoint_of_another_variant_of_the_family(refused: Callable[..., None], tmp_path: Path) -> None:
    content = state_of("ultraface", 240, 320, 2, variant="slim")
    recipe = shipped("ultraface-rfb-320", tmp_path, {"model.pth": content})
    refused(recipe, 4, "load", "model.pth")


def test_a_checkpoint_of_other_classes(refused: Callable[..., None], tmp_path: Path) -> None:
    content = state_of("ultraface", 240, 320, 3, variant="rfb")
    recipe = shipped("ultraface-rfb-320", tmp_path, {"model.pth": content})
    refused(recipe, 4, "load", "model.pth", "expected [", "found [")


# --- Caffe


def test_a_caffemodel_that_does_not_fit(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, mirrored: Any
) -> None:
    path = mirrored("tiny-caffe") / "tiny.prototxt"
    narrow = "num_output: 8 kernel_size: 3 stride: 4"
    path.write_text(path.read_text("utf-8").replace(narrow, narrow.replace("8", "16")), "utf-8")
    refused(recipe_file(caffe), 4, "load", "tiny.caffemodel", "tiny.prototxt", "conv1", "16")


@pytest.mark.parametrize("content", [b"no caffemodel", b"<p>moved</p>", bytes(range(256)) * 40])
def test_a_file_that_is_no_caffemodel(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, mirrored: Any, content: bytes
) -> None:
    (mirrored("tiny-caffe") / "tiny.caffemodel").write_bytes(content)
    refused(recipe_file(caffe), 4, "load", "tiny.caffemodel")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "got an empty file"), (b"<!DOCTYPE html><html></html>", "got an HTML page")],
)
def test_what_is_never_a_model_is_not_even_fetched(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, mirrored: Any, content: bytes, told: str
) -> None:
    (mirrored("tiny-caffe") / "tiny.caffemodel").write_bytes(content)
    refused(recipe_file(caffe), 3, "fetch", "tiny.caffemodel", told)


@pytest.mark.parametrize("content", ["no prototxt", "layer { name: "])
def test_a_file_that_is_no_prototxt(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, mirrored: Any, content: str
) -> None:
    (mirrored("tiny-caffe") / "tiny.prototxt").write_text(content, "utf-8")
    refused(recipe_file(caffe), 4, "load", "tiny.prototxt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input.name": "image"}, ["'image' [1, 3, 64, 96]", "data"]),
        ({"input.shape": [1, 3, 96, 64]}, ["'data' [1, 3, 96, 64]"]),
        ({"detections.labels": ["cat", "dog", "cow"]}, ["expected", ", 4]", "mbox_conf_flatten"]),
        ({"detections.labels": ["cat"]}, ["expected", ", 2]", "mbox_conf_flatten"]),
        ({"source.heads": {"scores": "nosuch", "boxes": "mbox_loc"}}, ["no layer nosuch"]),
        ({"source.heads": {"scores": "mbox_conf_flatten", "boxes": "mbox_loc"}}, ["expected", "[1, P, 3]"]),
    ],
)
def test_a_caffe_recipe_that_does_not_fit(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, changes: Any, words: list[str]
) -> None:
    refused(recipe_file(caffe, changes), 4, "load", "tiny.prototxt", *words)


def test_default_boxes_of_several_variances(
    refused: Callable[..., None], caffe: Any, recipe_file: Any, mirrored: Any
) -> None:
    path = mirrored("tiny-caffe") / "tiny.prototxt"
    text = path.read_text("utf-8")
    several = text.replace(
        "variance: 0.1 variance: 0.1 variance: 0.2", "variance: 0.1 variance: 0.3 variance: 0.2"
    )
    assert several != text
    path.write_text(several, "utf-8")
    refused(recipe_file(caffe), 4, "load", "tiny.prototxt", "several variances")


# --- ONNX


def heads_file(path: Path, suppressions: int = 0, outputs: tuple[str, ...] = STATIC.names) -> None:
    """A graph of 8 boxes and 2 classes, by averages of the picture, with so many NMS behind them."""
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    floats, integers = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    constants = {
        "matrix": [1, 3],
        "boxes_shape": [1, 8, 4],
        "scores_shape": [1, 2, 8],
        "most": [8],
        "threshold": np.array([0.5], np.float32),
        "to_boxes": np.ones((3, 32), np.float32),
        "to_scores": np.ones((3, 16), np.float32),
    }
    nodes = [
        make("GlobalAveragePool", ["image"], ["mean"]),
        make("Reshape", ["mean", "matrix"], ["means"]),
        make("MatMul", ["means", "to_boxes"], ["boxes_flat"]),
        make("Reshape", ["boxes_flat", "boxes_shape"], ["my_boxes"]),
        make("MatMul", ["means", "to_scores"], ["scores_flat"]),
        make("Reshape", ["scores_flat", "scores_shape"], ["my_scores"]),
    ]
    for index in range(suppressions):
        inputs = ["my_boxes", "my_scores", "most", "threshold", "threshold"]
        nodes.append(make("NonMaxSuppression", inputs, [f"selected_{index}"]))
    result, kind, shape = (
        ("selected_0", integers, ["n", 3]) if suppressions else ("my_boxes", floats, [1, 8, 4])
    )
    nodes += [make("Identity", [result], [name]) for name in outputs]
    graph = onnx.helper.make_graph(
        nodes,
        "heads",
        [info("image", floats, [1, 3, 16, 16])],
        [info(name, kind, shape) for name in outputs],
        [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source.heads": {"scores": "nosuch", "boxes": "my_boxes"}}, ["no tensor 'nosuch'", "'bboxes'"]),
        ({"source.heads": {"scores": "a", "boxes": "b"}}, ["no tensor 'a' and no 'b'"]),
        ({"source.heads": {"scores": "image", "boxes": "my_boxes"}}, ["no tensor 'image'"]),
        (
            {"source.heads": {"scores": "my_scores", "boxes": "my_boxes"}},
            ["'my_scores' [1, 2, 8]", "[1, P, 4]"],
        ),
        ({}, ["holds 0 NonMaxSuppression nodes", "expected 1", "source.heads"]),
    ],
)
def test_an_onnx_file_without_the_heads_that_are_named(
    refused: Callable[..., None],
    recipe_file: Any,
    own_nms: Any,
    mirrored: Any,
    changes: Any,
    words: list[str],
) -> None:
    heads_file(mirrored("own-nms") / "own-nms.onnx")
    refused(recipe_file(own_nms, changes), 4, "load", "own-nms.onnx", *words)


def test_an_onnx_file_with_two_nms(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any
) -> None:
    heads_file(mirrored("own-nms") / "own-nms.onnx", suppressions=2)
    refused(recipe_file(own_nms), 4, "load", "own-nms.onnx", "holds 2 NonMaxSuppression nodes, expected 1")


def test_an_onnx_file_with_other_outputs(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any
) -> None:
    heads_file(mirrored("own-nms") / "own-nms.onnx", 1, ("boxes", "labels", "scores"))
    refused(
        recipe_file(own_nms), 4, "load", "['boxes', 'labels', 'scores']", "['bboxes', 'labels', 'scores']"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input.name": "data"}, ["'image'", "expected 'data' [1, 3, 16, 16]"]),
        ({"input.shape": [1, 3, 32, 32]}, ["expected 'image' [1, 3, 32, 32]"]),
        ({"detections.labels": ["cat", "dog"]}, ["[1, 80, 4]", "expected", ", 3]"]),
        ({"opset": 11}, []),
    ],
)
def test_an_onnx_recipe_that_does_not_fit(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, own_nms_12: Path, mirrored: Any, changes: Any,
    words: list[str],
) -> None:  # fmt: skip
    shutil.copy(own_nms_12, mirrored("own-nms") / "own-nms.onnx")
    stage = "export" if "opset" in changes else "load"
    refused(recipe_file(own_nms, changes), 4, stage, "own-nms.onnx", *words)


@pytest.fixture(scope="session")
def own_nms_12(tiny_ssd: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ssdconvert.stand_in.own_nms import write_with_own_nms

    path = tmp_path_factory.mktemp("own-nms-12") / "own-nms.onnx"
    write_with_own_nms(tiny_ssd(offsets=0.3), "image", tiny_ssd.shape, path, 12)
    return path


@pytest.mark.parametrize("content", [b"no ONNX file", bytes(range(256)) * 40])
def test_a_file_that_is_no_onnx(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any, content: bytes
) -> None:
    (mirrored("own-nms") / "own-nms.onnx").write_bytes(content)
    refused(recipe_file(own_nms), 4, "load", "own-nms.onnx")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def archive(path: Path, model: Path, entry: tarfile.TarInfo | None, **tensors: Any) -> None:
    """A zoo archive: the model, its recorded tensors by file name, and one more member."""
    members = {"own-nms/model.onnx": model.read_bytes()}
    for file, (name, array) in tensors.items():
        content = onnx.numpy_helper.from_array(array, name).SerializeToString()
        members[f"own-nms/test_data_set_0/{file}.pb"] = content
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            packed.addfile(header, io.BytesIO(content))
        if entry is not None:
            packed.addfile(entry, io.BytesIO(b""))


RECORDED = {"file": {"name": "own-nms.tar.gz", "urls": []}}
IMAGE = np.zeros((1, 3, 16, 16), np.float32)
NOTHING = {
    "output_0": ("bboxes", np.zeros((1, 0, 4), np.float32)),
    "output_1": ("labels", np.zeros((1, 0), np.int64)),
    "output_2": ("scores", np.zeros((1, 0), np.float32)),
}


@pytest.mark.parametrize(
    "entry",
    [
        member("../evil"),
        member("own-nms/../../evil"),
        member("/tmp/ssdconvert-evil"),
        member("own-nms/evil", tarfile.SYMTYPE, "/etc/passwd"),
        member("own-nms/evil", tarfile.LNKTYPE, "own-nms/model.onnx"),
        member("own-nms/evil", tarfile.FIFOTYPE),
    ],
    ids=["parent", "hidden parent", "absolute", "symbolic link", "hard link", "pipe"],
)
def test_a_zoo_archive_with_an_evil_member(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any, tmp_path: Path, entry: Any
) -> None:
    folder = mirrored("own-nms")
    archive(folder / "own-nms.tar.gz", folder / "own-nms.onnx", entry, input_0=("image", IMAGE), **NOTHING)
    refused(
        recipe_file(own_nms, {"source.recorded": RECORDED}), 4, "load", "own-nms.tar.gz", repr(entry.name)
    )
    assert not (tmp_path.parent / "evil").exists()
    assert not Path("/tmp/ssdconvert-evil").exists()


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"input_0": ("image", np.zeros((1, 3, 8, 8), np.float32)), **NOTHING}, "[1, 3, 8, 8]"),
        ({"input_0": ("image", IMAGE)}, "outputs []"),
        (
            {"input_0": ("image", IMAGE), **NOTHING, "output_1": ("labels", np.zeros((1, 2), np.int64))},
            "rows",
        ),
        (
            {"input_0": ("image", IMAGE), **NOTHING, "output_3": ("more", np.zeros(1, np.float32))},
            "expected output_0.pb to output_2.pb",
        ),
    ],
    ids=["another shape", "no outputs", "unequal rows", "one output too many"],
)
def test_a_zoo_archive_whose_recording_does_not_fit(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any, tensors: Any, word: str
) -> None:
    folder = mirrored("own-nms")
    archive(folder / "own-nms.tar.gz", folder / "own-nms.onnx", None, **tensors)
    refused(recipe_file(own_nms, {"source.recorded": RECORDED}), 4, "load", "own-nms.tar.gz", word)


def test_a_zoo_archive_of_another_model(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any, tiny_ssd: Any, tmp_path: Path
) -> None:
    """Whole in itself, but its model has another input: nothing of it can be fed to this one."""
    from ssdconvert.stand_in.own_nms import write_with_own_nms

    write_with_own_nms(tiny_ssd(), "data", tiny_ssd.shape, tmp_path / "other.onnx", 10)
    folder = mirrored("own-nms")
    archive(folder / "own-nms.tar.gz", tmp_path / "other.onnx", None, input_0=("data", IMAGE), **NOTHING)
    refused(
        recipe_file(own_nms, {"source.recorded": RECORDED}), 4, "load", "own-nms.tar.gz", "'data'", "'image'"
    )


def test_a_damaged_zoo_archive(
    refused: Callable[..., None], recipe_file: Any, own_nms: Any, mirrored: Any
) -> None:
    (mirrored("own-nms") / "own-nms.tar.gz").write_bytes(b"no archive")
    refused(recipe_file(own_nms, {"source.recorded": RECORDED}), 4, "load", "own-nms.tar.gz")


# --- IR


@pytest.mark.parametrize("units", ["normalised", "pixels"])
def test_an_ir_whose_bin_is_missing(
    refused: Callable[..., None], recipe_file: Any, ready: Any, mirrored: Any, units: str
) -> None:
    recipe = recipe_file(ready(units))
    (mirrored("ready") / "FP16" / "ready.bin").unlink()
    refused(recipe, 3, "fetch", "FP16/ready.bin of ready could not be had", "--mirror")


@pytest.mark.parametrize("folder", ["FP32", "FP16", "FP16-INT8"])
@pytest.mark.parametrize("change", [-1, 1, -1000, 1000])
def test_an_ir_whose_bin_has_another_length(
    refused: Callable[..., None], recipe_file: Any, ready: Any, mirrored: Any, folder: str, change: int
) -> None:
    recipe = recipe_file(ready("normalised"))
    path = mirrored("ready") / folder / "ready.bin"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    refused(recipe, 4, "load", f"has {len(content) + change} bytes, expected {len(content)} of ready.xml")


@pytest.mark.parametrize("folder", ["FP32", "FP16-INT8"])
def test_an_ir_whose_xml_is_cut_off(
    refused: Callable[..., None], recipe_file: Any, ready: Any, mirrored: Any, folder: str
) -> None:
    recipe = recipe_file(ready("pixels"))
    path = mirrored("ready") / folder / "ready.xml"
    path.write_bytes(path.read_bytes()[:5000])
    refused(recipe, 4, "load", "ready.xml", "no whole .xml of an IR")


@pytest.mark.parametrize("units", ["normalised", "pixels"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input.name": "image"}, ["picture f32 [1, 3, 96, 128]", "image f32 [1, 3, 96, 128]"]),
        ({"input.shape": [1, 3, 128, 96]}, ["picture f32 [1, 3, 128, 96]"]),
        (
            {"detections.labels": ["vehicle", "person"]},
            ["end of this IR is not understood", "detections.labels"],
        ),
        (
            {"detections.labels": ["a", "b", "c", "d"]},
            ["end of this IR is not understood", "detections.labels"],
        ),
    ],
)
def test_an_ir_recipe_that_does_not_fit(
    refused: Callable[..., None], recipe_file: Any, ready: Any, units: str, changes: Any, words: list[str]
) -> None:
    refused(recipe_file(ready(units), changes), 4, "load", *words)


def test_an_ir_in_the_folder_of_another_precision(
    refused: Callable[..., None], recipe_file: Any, ready: Any, mirrored: Any
) -> None:
    recipe, folder = recipe_file(ready("normalised")), mirrored("ready")
    (folder / "FP16").rename(folder / "other")
    (folder / "FP32").rename(folder / "FP16")
    (folder / "other").rename(folder / "FP32")
    refused(recipe, 4, "load", "ready.xml has weights of", "f16", "expected f32 of FP32")


@pytest.mark.parametrize(
    ("asked", "there"), [("INT8", ["FP32", "FP16"]), ("FP32", ["FP16"]), ("fp16", ["FP32"])]
)
def test_a_precision_that_the_ir_does_not_have(
    refused: Callable[..., None], recipe_file: Any, ready: Any, tmp_path: Path, asked: str, there: list[str]
) -> None:
    files = [{"name": f"{name}/ready.{suffix}", "urls": []} for name in there for suffix in ("xml", "bin")]
    recipe = recipe_file(ready("normalised"), {"source.files": files, "precisions": there})
    arguments = ("--precision", asked)
    refused(recipe, 2, "recipe", f"precision {asked.upper()}", " or ".join(there), arguments=arguments)
    assert not (tmp_path / "build").exists()


def test_an_ir_recipe_of_precisions_that_it_has_no_files_of(
    refused: Callable[..., None], recipe_file: Any, ready: Any
) -> None:
    files = [{"name": f"FP16/ready.{suffix}", "urls": []} for suffix in ("xml", "bin")]
    recipe = recipe_file(ready("normalised"), {"source.files": files, "precisions": ["FP32", "FP16"]})
    refused(recipe, 2, "recipe", "precision FP32", "FP16")


# --- what a build that was refused leaves of an earlier one


def test_a_refused_build_leaves_no_verdict_of_an_earlier_one(
    run: Callable[..., Any], recipe_file: Any, ready: Any, mirrored: Any, tmp_path: Path
) -> None:
    recipe = recipe_file(ready("normalised"), {"precisions": ["FP32"]})
    assert run("build", recipe, "--mirror", "mirror").code == 0
    before = {path.name for path in (tmp_path / "build" / "ready").rglob("*") if path.is_file()}
    assert {"manifest.json", "report.json", "ready.xml"} <= before
    recipe_file(ready("normalised"), {"precisions": ["FP32"], "input.name": "image"})
    ended = run("build", recipe, "--mirror", "mirror")
    assert (ended.code, ended.err.count("error[load]")) == (4, 1)
    left = {path.name for path in (tmp_path / "build" / "ready").rglob("*") if path.is_file()}
    assert not left & {"manifest.json", "report.json", "report.md", "reference.png", "detections.json"}
