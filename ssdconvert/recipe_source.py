"""The part of a recipe that says what the original model is, and which files it is made of."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic import StringConstraints as Text

from ssdconvert.recipe_types import (
    SHA256,
    SHA384,
    Count,
    Line,
    NetworkOptions,
    Part,
    Precision,
    Url,
    distinct,
    file_name,
    side_by_side,
)

# folder of an IR's file -> the weight precision that is meant
IR_FOLDERS: dict[str, Precision] = {"FP32": "FP32", "FP16": "FP16", "FP16-INT8": "INT8", "INT8": "INT8"}


class File(Part):
    """A published file of the original model."""

    name: Annotated[str, AfterValidator(file_name)] = Field(
        description="Name in the cache and in a mirror (RECIPE/NAME); may contain folders. lock.json, *.rejected and "
        ".tmp-* are the cache's own."
    )
    urls: tuple[Url, ...] = Field(
        description="Where to fetch it, best first: http, https or file URLs, or package:RELATIVE/PATH in "
        "the installed ssdconvert. Empty: it must come from a mirror or the cache."
    )
    size: Count | None = Field(None, description="Bytes. null: not published.")
    sha256: Annotated[str, Text(pattern=SHA256)] | None = Field(
        None, description="SHA-256 digest, hexadecimal. A file with neither digest is unpinned."
    )
    sha384: Annotated[str, Text(pattern=SHA384)] | None = Field(
        None, description="SHA-384 digest, hexadecimal (what Open Model Zoo publishes)."
    )


def _ends_of(suffix: str, files: tuple[File, ...]) -> list[str]:
    return [file.name.removesuffix(suffix) for file in files if file.name.endswith(suffix)]


def _caffe_pair(files: tuple[File, ...]) -> tuple[File, ...]:
    for suffix in (".prototxt", ".caffemodel"):
        if len(_ends_of(suffix, files)) != 1:
            raise ValueError(f"one file whose name ends in {suffix}")
    return files


def _ir_pairs(files: tuple[File, ...]) -> tuple[File, ...]:
    models = _ends_of(".xml", files)
    if not models or sorted(models) != sorted(_ends_of(".bin", files)) or len(models) * 2 != len(files):
        raise ValueError("pairs of NAME.xml and NAME.bin")
    folders = [PurePosixPath(name).parent.name for name in models]
    if not set(folders) <= set(IR_FOLDERS) or len({IR_FOLDERS[name] for name in folders}) < len(folders):
        raise ValueError(f"one pair a precision, each in a folder {', '.join(IR_FOLDERS)}")
    return files


Files = Annotated[
    tuple[File, ...], Field(min_length=1), AfterValidator(distinct), AfterValidator(side_by_side)
]


class _Source(Part):
    files: Files = Field(description="The files of the original model; no two of the same name.")

    @property
    def evidence(self) -> File | None:
        """The file that is published beside the original to check it by."""
        return None

    @property
    def published(self) -> tuple[File, ...]:
        """The files, and the evidence last where there is one."""
        return (*self.files, *([self.evidence] if self.evidence else []))

    @property
    def keeps_outputs(self) -> bool:
        """Whether what is made of it suppresses as the original does and has its outputs, without a tail."""
        return False


class _Evidence(Part):
    file: File = Field(
        description="Taken from the cache or a mirror, never downloaded by itself; without it this evidence "
        "is left out, and the build says so."
    )


class PytorchSource(_Source):
    """A PyTorch checkpoint: a state_dict, a dict that holds one, or a whole pickled module."""

    kind: Literal["pytorch"] = Field(description="The kind of original.")
    network: Line = Field(
        description="Module of ssdconvert.networks that defines the network, e.g. ssd_resnet34."
    )
    options: NetworkOptions = Field(
        {},
        description="Parameters of the network, e.g. {channel_multiplier: 0.125}; never the class count.",
    )


class Heads(Part):
    """Two tensors of a graph that has no NMS of its own."""

    scores: Line = Field(description="Tensor of class probabilities [1, P, C]; class 0 is the background.")
    boxes: Line = Field(
        description="Tensor of boxes [1, P, 4]: decoded corners x_min, y_min, x_max, y_max in 0..1, or the "
        "offsets of default boxes."
    )
    default_boxes: Line | None = Field(
        None,
        description="Whose default boxes the offsets refer to: a module of ssdconvert.networks, e.g. "
        "ultraface. null: the boxes are decoded.",
    )
    options: NetworkOptions = Field({}, description="Parameters of that network.")


class OnnxStandIn(Part):
    """What `--stand-in` makes in place of the file."""

    network: Line = Field(description="Module of ssdconvert.networks that defines the network.")
    options: NetworkOptions = Field({}, description="Parameters of the network.")
    opset: Count = Field(description="Opset of the file.")
    quantised: Literal["qoperator", "qdq"] | None = Field(
        None, description="How ONNX Runtime's quantiser writes it. null: floating point."
    )


class Recorded(_Evidence):
    """Inputs and outputs that the publisher recorded: an archive of the ONNX Model Zoo."""


class OnnxSource(_Source):
    """An ONNX file."""

    kind: Literal["onnx"] = Field(description="The kind of original.")
    heads: Heads | None = Field(
        None, description="For a graph without NMS: its outputs, to which NMS is added. null: it has its own."
    )
    recorded: Recorded | None = Field(
        None, description="A .tar.gz of the ONNX Model Zoo with test_data_set_0/*.pb: recorded evidence."
    )
    stand_in: OnnxStandIn | None = Field(None, description="What `--stand-in` makes.")

    @property
    def evidence(self) -> File | None:
        """The archive with recorded inputs and outputs."""
        return self.recorded.file if self.recorded else None


class Twin(_Evidence):
    """The same weights, published as ONNX without NMS: a second reference."""

    scores: Line = Field(description="Tensor of class probabilities [1, P, C].")
    boxes: Line = Field(description="Tensor of decoded corner boxes [1, P, 4], 0..1.")


class CaffeSource(_Source):
    """A Caffe network: a .prototxt and a .caffemodel."""

    kind: Literal["caffe"] = Field(description="The kind of original.")
    files: Annotated[Files, AfterValidator(_caffe_pair)] = Field(
        description="The .prototxt and the .caffemodel."
    )
    heads: Heads | None = Field(
        None, description="For a network without NMS. null: it ends in a DetectionOutput layer."
    )
    twin: Twin | None = Field(None, description="The same model as ONNX: published evidence.")
    stand_in: Literal["mobilenet_ssd", "ultraface_rfb"] | None = Field(
        None, description="The architecture whose files `--stand-in` makes."
    )

    @property
    def evidence(self) -> File | None:
        """The published twin."""
        return self.twin.file if self.twin else None

    @property
    def keeps_outputs(self) -> bool:
        """Whether the network ends in DetectionOutput."""
        return self.heads is None


def caffe_pair(files: Mapping[str, Path]) -> tuple[Path, Path]:
    """Return the paths of the .prototxt and of the .caffemodel among a Caffe source's files by name."""
    prototxt = next(path for name, path in files.items() if name.endswith(".prototxt"))
    return prototxt, next(path for name, path in files.items() if name.endswith(".caffemodel"))


class IrSource(_Source):
    """A ready OpenVINO IR, which is not converted but checked."""

    kind: Literal["ir"] = Field(description="The kind of original.")
    files: Annotated[Files, AfterValidator(_ir_pairs)] = Field(
        description="Pairs of .xml and .bin, each in a folder FP32, FP16 or FP16-INT8."
    )

    @property
    def keeps_outputs(self) -> bool:
        """Always: nothing is converted."""
        return True

    def pair(self, precision: str) -> tuple[str, str] | None:
        """Return the names of the .xml and the .bin of a precision; None where it is not published."""
        for name in _ends_of(".xml", self.files):
            if IR_FOLDERS[PurePosixPath(name).parent.name] == precision:
                return f"{name}.xml", f"{name}.bin"
        return None
