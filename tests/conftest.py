"""What every test gets: a home and a cache of its own, and the shared files where they are."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

if TYPE_CHECKING:
    from ssdconvert.build_result import BuildResult
    from ssdconvert.toolchains.call import Toolchain

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
TOOLCHAINS = os.environ.get("SSDCONVERT_TOOLCHAINS") or str(ROOT / ".venv" / "toolchains")
TINY_CAFFE = """
name: "tiny" input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 96 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 stride: 4 pad: 1 } }
layer { name: "conv1/relu" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2/dw" type: "Convolution" bottom: "conv1" top: "conv2/dw"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 8 } }
layer { name: "loc" type: "Convolution" bottom: "conv2/dw" top: "loc"
  convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "mbox_loc" type: "Flatten" bottom: "loc_perm" top: "mbox_loc" flatten_param { axis: 1 } }
layer { name: "conf" type: "Convolution" bottom: "conv2/dw" top: "conf"
  convolution_param { num_output: 12 kernel_size: 3 pad: 1 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_perm" top: "conf_flat" flatten_param { axis: 1 } }
layer { name: "conf_reshape" type: "Reshape" bottom: "conf_flat" top: "conf_reshape"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "conf_softmax" type: "Softmax" bottom: "conf_reshape" top: "conf_softmax" softmax_param { axis: 2 } }
layer { name: "mbox_conf_flatten" type: "Flatten" bottom: "conf_softmax" top: "mbox_conf_flatten"
  flatten_param { axis: 1 } }
layer { name: "mbox_priorbox" type: "PriorBox" bottom: "conv1" bottom: "data" top: "mbox_priorbox"
  prior_box_param { min_size: 10 max_size: 20 aspect_ratio: 2 flip: true clip: false
    variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5 } }
layer { name: "detection_out" type: "DetectionOutput" bottom: "mbox_loc" bottom: "mbox_conf_flatten"
  bottom: "mbox_priorbox" top: "detection_out" include { phase: TEST }
  detection_output_param { num_classes: 3 share_location: true background_label_id: 0
    nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 50 confidence_threshold: 0.4 } }
"""

STRETCH = {"mode": "stretch", "filter": "bilinear", "library": "opencv"}
OWN_NMS: dict[str, Any] = {
    "schema": 1,
    "name": "own-nms",
    "title": "An ONNX file with its own NMS, at 16x16",
    "licence": "Apache-2.0",
    "source": {"kind": "onnx", "files": [{"name": "own-nms.onnx", "urls": []}]},
    "input": {
        "name": "image",
        "shape": [1, 3, 16, 16],
        "color": {"model": "rgb"},
        "mean": [120, 110, 100],
        "scale": [60, 50, 40],
        "resize": STRETCH,
    },
    "detections": {
        "boxes": "xyxy",
        "units": "normalised",
        "labels": ["cat", "dog", "cow"],
        "score_threshold": 0.05,
        "iou_threshold": 0.5,
        "per_class": 80,
        "keep": 200,
    },
}
CAFFE: dict[str, Any] = {
    "schema": 1,
    "name": "tiny-caffe",
    "title": "A Caffe network at 96x64",
    "licence": "Apache-2.0",
    "source": {
        "kind": "caffe",
        "files": [{"name": "tiny.prototxt", "urls": []}, {"name": "tiny.caffemodel", "urls": []}],
    },
    "input": {
        "name": "data",
        "shape": [1, 3, 64, 96],
        "color": {"model": "rgb"},
        "mean": [120, 110, 100],
        "scale": [60, 50, 40],
        "resize": STRETCH,
    },
    "detections": {
        "boxes": "xyxy",
        "units": "normalised",
        "labels": ["cat", "dog"],
        "score_threshold": 0.4,
        "iou_threshold": 0.45,
        "per_class": 100,
        "keep": 50,
    },
}
READY_IR: dict[str, Any] = {
    "schema": 1,
    "name": "ready",
    "title": "A ready IR at 128x96",
    "licence": "Apache-2.0",
    "source": {
        "kind": "ir",
        "files": [
            {"name": f"{folder}/ready.{suffix}", "urls": []}
            for folder in ("FP32", "FP16", "FP16-INT8")
            for suffix in ("xml", "bin")
        ],
    },
    "input": {"name": "picture", "shape": [1, 3, 96, 128], "color": {"model": "bgr"}, "resize": STRETCH},
    "detections": {
        "boxes": "xyxy",
        "units": "normalised",
        "labels": ["vehicle", "person", "bike"],
        "first_label": 0,
        "score_threshold": 0.05,
        "iou_threshold": 0.45,
        "per_class": 100,
        "keep": 40,
    },
    "precisions": ["FP32", "FP16", "INT8"],
}


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """Undo what -q or -v of a command did to the log."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's home, cache or settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSDCONVERT_CACHE", str(home / "cache"))
    for name in (
        "SSDCONVERT_MIRROR",
        "SSDCONVERT_OFFLINE",
        "SSDCONVERT_RECIPES",
        "SSDCONVERT_TOOLCHAINS",
        "NO_COLOR",
        "GITHUB_STEP_SUMMARY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mirror() -> Path:
    """The folder of published model files."""
    if not (SHARED / "mirror").is_dir():
        pytest.skip("../shared/mirror is not there: published model files are needed")
    return SHARED / "mirror"


@pytest.fixture
def photographs() -> list[Path]:
    """Photographs of faces."""
    paths = sorted((SHARED / "images" / "faces").glob("*.jpg"))
    if not paths:
        pytest.skip("../shared/images/faces is not there: photographs are needed")
    return paths


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> "Callable[[str], Toolchain]":
    """Return a toolchain by its name; tests that want one skip where `make test` could not install it."""
    from ssdconvert.errors import MissingDevice
    from ssdconvert.toolchains.environment import find

    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", TOOLCHAINS)

    def one(name: str) -> "Toolchain":
        try:
            return find(name)
        except MissingDevice as error:
            pytest.skip(f"{error.message}: `make test` installs it where there is a Python for it")

    return one


@pytest.fixture
def caffe_toolchain(installed: "Callable[[str], Toolchain]") -> "Toolchain":
    """The toolchain for Caffe models."""
    return installed("caffe")


@pytest.fixture
def ov_2026_toolchain(installed: "Callable[[str], Toolchain]") -> "Toolchain":
    """The toolchain that converts without Model Optimizer."""
    return installed("ov-2026")


@pytest.fixture
def tiny_prototxt(tmp_path: Path) -> Path:
    """An SSD of Caffe at 96x64 pixels: 16x24 places, 4 boxes a place, three classes, detections over 0.4."""
    path = tmp_path / "tiny.prototxt"
    path.write_text(TINY_CAFFE, "utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_ssd() -> Any:
    """A class of networks with what quantisers treat each in its own way: residual, pool, joined heads.

    Two maps, 8x8 and 4x4, one default box a cell: P = 80, 4 classes. `offsets` scales those of its boxes.
    """
    import torch
    from torch import Tensor, nn

    class TinySSD(nn.Module):
        shape = (1, 3, 16, 16)
        classes = 4
        variances = (0.1, 0.2)
        largest_size_offset = None

        def __init__(self, background: float = 1.0, offsets: float = 1.0) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.third = nn.Conv2d(8, 8, 3, stride=2, padding=1)
            self.conf = nn.ModuleList([nn.Conv2d(8, self.classes, 3, padding=1) for _ in range(2)])
            self.loc = nn.ModuleList([nn.Conv2d(8, 4, 3, padding=1) for _ in range(2)])
            torch.manual_seed(7)
            for tensor in self.state_dict().values():
                # biases differ: the exporter would share equal ones
                tensor.normal_(0, (4 / tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else 0.01)
            with torch.no_grad():
                for head in self.conf:
                    head.bias[0] += background
                for head in self.loc:
                    head.weight *= offsets

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            x = nn.functional.max_pool2d(torch.relu(self.first(image)), 2)
            x = torch.relu(self.second(x) + x)
            maps = [x, torch.relu(self.third(x))]
            logits = [head(m).flatten(2) for head, m in zip(self.conf, maps, strict=True)]
            offsets = [head(m).flatten(2) for head, m in zip(self.loc, maps, strict=True)]
            return torch.cat(logits, 2).transpose(1, 2), torch.cat(offsets, 2).transpose(1, 2)

        def default_boxes(self) -> Any:
            boxes = []
            for side, size in ((8, 0.3), (4, 0.6)):
                for row in range(side):
                    boxes += [
                        ((column + 0.5) / side, (row + 0.5) / side, size, size) for column in range(side)
                    ]
            return np.array(boxes, np.float32)

    return TinySSD


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe, with changes by dotted key (None removes), into the test's folder under its name."""

    def write(document: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Path:
        changed = json.loads(json.dumps(document))
        for key, value in (changes or {}).items():
            *parents, last = key.split(".")
            place = changed
            for parent in parents:
                place = place[parent]
            place[last] = value
            if value is None:
                del place[last]
        path = tmp_path / f"{changed['name']}.yaml"
        path.write_text(yaml.safe_dump(changed, sort_keys=False), "utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def documents() -> dict[str, Mapping[str, Any]]:
    """Recipes by the kind of their source, without files."""
    return {"onnx": OWN_NMS, "caffe": CAFFE, "ir": READY_IR}


@pytest.fixture
def mirrored(tmp_path: Path) -> Callable[..., Path]:
    """Return the folder of a recipe in the test's own `mirror`, filled with a copy of another folder."""

    def copy(name: str, source: Path | None = None) -> Path:
        target = tmp_path / "mirror" / name
        if source:
            shutil.copytree(source, target, dirs_exist_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        return target

    return copy


@pytest.fixture
def build_here(tmp_path: Path) -> "Callable[..., BuildResult]":
    """Build a recipe with the test's own mirror, into `out` or another folder beside it."""
    from ssdconvert.build_result import BuildOptions
    from ssdconvert.catalog import Catalog
    from ssdconvert.fetching.options import FetchOptions
    from ssdconvert.pipeline import build

    def call(
        recipe: Path,
        output: str = "out",
        precisions: tuple[str, ...] | None = None,
        until: str = "manifest",
        tail: str = "nms",
    ) -> "BuildResult":
        fetching = FetchOptions(tmp_path / "cache", str(tmp_path / "mirror"))
        options = BuildOptions(tmp_path / output, fetching, precisions, tail=tail)
        return build(Catalog().find(str(recipe)), options, until)

    return call


@pytest.fixture(scope="session")
def own_nms_file(tiny_ssd: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of the recipe OWN_NMS: 80 default boxes, its rule score 0.05 and IoU 0.5."""
    from ssdconvert.stand_in.own_nms import write_with_own_nms

    path = tmp_path_factory.mktemp("own-nms") / "own-nms.onnx"
    write_with_own_nms(tiny_ssd(offsets=0.3), "image", tiny_ssd.shape, path, 10)
    return path


@pytest.fixture
def own_nms(own_nms_file: Path, mirrored: Callable[..., Path]) -> Mapping[str, Any]:
    """The recipe of an ONNX file with its own NMS; the file is in the mirror."""
    mirrored("own-nms", own_nms_file.parent)
    return OWN_NMS


@pytest.fixture(scope="session")
def caffe_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the recipe CAFFE."""
    from ssdconvert.recipe import Recipe
    from ssdconvert.stand_in.caffe import write_caffe

    folder = tmp_path_factory.mktemp("caffe")
    prototxt, caffemodel = folder / "tiny.prototxt", folder / "tiny.caffemodel"
    prototxt.write_text(TINY_CAFFE, "utf-8")
    recipe = Recipe.model_validate_json(json.dumps(CAFFE))
    write_caffe(recipe.input, prototxt, caffemodel, "mbox_conf_flatten", "mbox_loc", 3, 0.4)
    return folder


@pytest.fixture
def caffe(caffe_files: Path, mirrored: Callable[..., Path]) -> Mapping[str, Any]:
    """The recipe of a Caffe network that ends in DetectionOutput; its files are in the mirror."""
    mirrored("tiny-caffe", caffe_files)
    return CAFFE


@pytest.fixture(scope="session")
def ready_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with the files of READY_IR, by the units of its boxes."""
    from ssdconvert.recipe import Recipe
    from ssdconvert.stand_in.ir import write_files

    folders = {}
    for units in ("normalised", "pixels"):
        document = READY_IR | {"detections": READY_IR["detections"] | {"units": units}}
        folders[units] = tmp_path_factory.mktemp(units)
        write_files(Recipe.model_validate_json(json.dumps(document)), folders[units])
    return folders


@pytest.fixture
def ready(ready_files: dict[str, Path], mirrored: Callable[..., Path]) -> Callable[[str], Mapping[str, Any]]:
    """Return the recipe of a ready IR whose boxes are in these units; its files are in the mirror."""

    def copy(units: str) -> Mapping[str, Any]:
        mirrored("ready", ready_files[units])
        return READY_IR | {"detections": READY_IR["detections"] | {"units": units}}

    return copy


@pytest.fixture
def model_giving(tmp_path: Path) -> Callable[..., Path]:
    """Write an IR that gives these arrays by output name, whatever the picture; "means" stands for another output.

    That is f32 [1, 3], the means of the input's channels over 255. `shape` is the input's, of `kind`, or those
    of several.
    """
    import openvino
    from openvino import Type
    from openvino.runtime import opset13 as operations

    def write(
        outputs: Mapping[str, Any],
        *shapes: tuple[int, ...],
        kind: Any = np.float32,
        name: str = "model",
        means: str = "",
    ) -> Path:
        pictures = [
            operations.parameter(list(shape), kind, name=f"picture{index or ''}")
            for index, shape in enumerate(shapes or [(1, 3, 8, 8)])
        ]
        given = []
        floats = operations.convert(pictures[0], Type.f32)
        last = floats.get_output_partial_shape(0)[-1]
        sides = [1, 2] if last.is_static and last.get_length() == 3 else [2, 3]
        reduced = operations.reduce_mean(floats, np.array(sides), False)
        for output, array in outputs.items():
            whole = operations.reduce_mean(floats, np.array([0, 1, 2, 3]), True)
            nothing = operations.multiply(operations.reshape(whole, np.array([1]), False), np.float32(0))
            nothing = operations.convert(nothing, array.dtype)
            given.append((output, operations.add(operations.constant(array), nothing)))
        if means:
            given.append((means, operations.divide(reduced, np.float32(255))))
        results = []
        for output, node in given:
            node.output(0).get_tensor().set_names({output})
            results.append(operations.result(node))
        for picture in pictures:
            picture.output(0).get_tensor().set_names({picture.get_friendly_name()})
        path = tmp_path / f"{name}.xml"
        openvino.save_model(openvino.Model(results, pictures, name), path, compress_to_fp16=False)
        return path

    return write


@pytest.fixture
def detection_rows() -> Callable[..., Any]:
    """Return f32 [1, 1, N, 7] of rows (image_id, label, score, corners), and rows that end them up to N."""

    def rows(*given: tuple[float, ...], count: int = 6) -> Any:
        array = np.zeros((1, 1, count, 7), np.float32)
        for index, row in enumerate(given):
            array[0, 0, index] = row
        if len(given) < count:
            array[0, 0, len(given), 0] = -1
        return array

    return rows
