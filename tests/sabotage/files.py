"""Mistakes in the files: the weights' type, pairs that do not belong together, what an IR says of itself."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from openvino.runtime import opset13 as ops

from ssdconvert.ir_description import SECTION

from .surgery import UNSEEN, Right, bias_of, change, in_files, in_graph, nodes, read, save, value


@in_graph("FP16, for FP32")
def half_precision(right: Right, model: Any) -> None:
    from openvino._offline_transformations import compress_model_transformation

    compress_model_transformation(model)


@in_graph("weights through FP16 on their way to FP32")
def rounded(right: Right, model: Any) -> None:
    for node in nodes(model, "Convolution", "GroupConvolution"):
        weights = node.input(1)
        change(weights, value(weights).astype(np.float16))


@in_graph("INT8 weights")
def integers(right: Right, model: Any) -> None:
    for node in nodes(model, "Convolution"):
        weights = value(node.input(1))
        scale = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / 127 + 1e-12
        whole = ops.convert(ops.constant(np.round(weights / scale).astype(np.int8)), "f32")
        node.input(1).replace_source_output(ops.multiply(whole, ops.constant(scale)).output(0))


@in_files("IR of another recipe")
def another_recipe(right: Right, precision: str, target: Path) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copyfile(right.other[precision].with_suffix(suffix), target.with_suffix(suffix))


@in_files("stale .bin of the same length")
def stale_weights(right: Right, precision: str, target: Path) -> None:
    """That of a training run that ended a little earlier."""
    random = np.random.default_rng(1)
    model = read(right.irs[precision])
    for node in nodes(model, "Convolution"):
        for entered in (node.input(1), bias_of(node)):
            array = value(entered)
            change(entered, array * (1 + 0.02 * random.standard_normal(array.shape)))
    save(model, target)
    shutil.copyfile(right.irs[precision], target)
    assert (
        target.with_suffix(".bin").stat().st_size == right.irs[precision].with_suffix(".bin").stat().st_size
    )


@in_files("stale .bin of another length")
def longer_weights(right: Right, precision: str, target: Path) -> None:
    shutil.copyfile(right.irs[precision], target)
    weights = right.irs[precision].with_suffix(".bin").read_bytes()
    target.with_suffix(".bin").write_bytes(weights + bytes(64))


@in_graph("last label lost")
def labels_truncated(right: Right, model: Any) -> None:
    model.set_rt_info("\n".join(right.recipe.class_names[:-1]), [SECTION, "labels"])


@in_graph("another resize filter named")
def resize_named(right: Right, model: Any) -> None:
    model.set_rt_info("stretch bilinear pillow", [SECTION, "resize"])


@in_graph("colour order named wrongly")
def colour_named(right: Right, model: Any) -> None:
    model.set_rt_info("rgb", [SECTION, "input_color"])


@in_graph("u8 at the input, for f32")
def bytes_at_the_input(right: Right, model: Any) -> None:
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(Type.u8)
    steps.build()


@in_graph("digest of another source named", among=UNSEEN)
def digest_named(right: Right, model: Any) -> None:
    model.set_rt_info("0" * 64, [SECTION, "source_sha256", right.recipe.source.files[0].name])
