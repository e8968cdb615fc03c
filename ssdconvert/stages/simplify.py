"""Simplify: fewer nodes by onnxsim, proven equal on real inputs or refused.

A build without verification leaves the proof out; the next one with it simplifies again, and proves.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.onnx_graph import strip, with_outputs
from ssdconvert.runners.onnx_runner import OnnxRunner
from ssdconvert.ssd.heads import Heads, relative_error
from ssdconvert.workspace import written_atomically

LIMIT = 1e-5  # of a head's largest value: what reordering float32 sums can cost, and no more


def simplify(
    source: Path, target: Path, heads: Heads, input_name: str, images: Sequence[NDArray[Any]]
) -> str:
    """Write the simplified graph to `target` and return what was done, in a few words.

    `images` are normalised inputs, f32 [1, 3, H, W]; without any nothing is proven. The heads stay
    addressable by name. Raises ConversionError when onnxsim fails or when the two graphs differ on any of the images.
    """
    import onnx
    import onnxsim

    model = onnx.load(source)
    before = len(model.graph.node)
    outputs = list(model.graph.output)
    try:  # as outputs the heads survive under their names
        simplified, _ = onnxsim.simplify(with_outputs(model, heads.names))
    except Exception as problem:  # onnxsim passes on whatever its C++ side throws
        raise ConversionError(
            f"onnxsim failed: {problem}", hint="report this as a bug, with the recipe", stage="simplify"
        ) from problem
    strip(simplified)
    del simplified.graph.output[:]
    simplified.graph.output.extend(outputs)
    with written_atomically(target) as temporary:
        onnx.save(simplified, temporary)
        error = _largest_error(source, temporary, heads, input_name, images) if images else 0.0
        if not error <= LIMIT:
            raise ConversionError(
                f"the simplified graph is not the same: a head differs by {error:.2g} of its scale, limit {LIMIT:g}",
                hint="report this as a bug, with the recipe",
                stage="simplify",
            )
    proof = f"equal on {len(images)} pictures to {error:.1g}" if images else "not proven equal"
    return f"{before} -> {len(simplified.graph.node)} nodes, {proof}"


def keep_quantised(source: Path, target: Path) -> str:
    """Copy a quantised graph as it is: onnxsim would fold its integer weights back to floats."""
    with written_atomically(target) as temporary:
        shutil.copyfile(source, temporary)
    return "a quantised graph stays as it is"


def _largest_error(
    source: Path, simplified: Path, heads: Heads, input_name: str, images: Sequence[NDArray[Any]]
) -> float:
    """Return the largest difference of a head, relative to its largest value, over all images."""
    first, second = OnnxRunner(source, heads.names), OnnxRunner(simplified, heads.names)
    errors = [0.0]
    for image in images:
        expected, actual = first.run({input_name: image}), second.run({input_name: image})
        errors += [float(relative_error(expected[name], actual[name]).max()) for name in heads.names]
    return float(np.max(errors))
