"""What every test gets: a home and a cache of its own, and the shared files where they are."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
def caffe_toolchain(monkeypatch: pytest.MonkeyPatch) -> "Toolchain":
    """The toolchain for Caffe models that `make test` installs."""
    from ssdconvert.errors import MissingDevice
    from ssdconvert.toolchains.environment import find

    monkeypatch.setenv("SSDCONVERT_TOOLCHAINS", TOOLCHAINS)
    try:
        return find("caffe")
    except MissingDevice as error:
        pytest.skip(f"{error.message}: `make test` installs it")


@pytest.fixture
def tiny_prototxt(tmp_path: Path) -> Path:
    """An SSD of Caffe at 96x64 pixels: 16x24 places, 4 boxes a place, three classes, detections over 0.4."""
    path = tmp_path / "tiny.prototxt"
    path.write_text(TINY_CAFFE, "utf-8")
    return path
