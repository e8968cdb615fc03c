"""Quantize: the FP32 IR in 8 bits, and what that costs, measured on the file that was written.

First everything up to the heads is quantised. Where that costs more than it may, biases are corrected as well; then the
layers that cost most are left in floating point, by NNCF's ignored scope: two of them, then twice as many each time.
Should what may be left out not be enough, what cost least is written, and the gate rejects it.

NNCF's own accuracy control ranks layers by the metric, on few pictures, and reverts one at a time, ranking anew
whenever the metric falls: how long that takes has no bound but the number of layers.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert import openvino_converter
from ssdconvert.detector import Detector, detected, open_detector
from ssdconvert.errors import SsdconvertError
from ssdconvert.ir_description import describe
from ssdconvert.ir_file import read_ir
from ssdconvert.ir_writing import put_ir, write_ir
from ssdconvert.model_optimizer import name_deterministically
from ssdconvert.original_given import in_picture
from ssdconvert.originals import Original
from ssdconvert.pictures import read_picture
from ssdconvert.quantisation.calibration import CalibrationSet
from ssdconvert.quantisation.cost import Cost, digests_of
from ssdconvert.quantisation.criteria import Criterion, Found, criterion_for
from ssdconvert.quantisation.heads_model import up_to_heads, with_the_rest
from ssdconvert.quantisation.options import CalibrationOptions
from ssdconvert.quantisation.post_training import Scheme, left_in_float, numbers_in, quantised
from ssdconvert.quantisation.sensitivity import most_costly_first
from ssdconvert.recipe import Recipe
from ssdconvert.runners.openvino_core import openvino_name
from ssdconvert.temporary_folders import temporary_folder_beside
from ssdconvert.versions import tool_versions

PRECISION = "INT8"
RANKING_PICTURES = 8
FIRST_LEFT_OUT = 2  # layers
MOST_LEFT_OUT = 0.4  # of all weights: with half of them in floating point it is no INT8 model any more

log = logging.getLogger(__name__)


def quantize(
    recipe: Recipe,
    original: Original,
    source: Path,
    target: Path,
    pictures: CalibrationSet,
    options: CalibrationOptions,
    sources: Mapping[str, str],
    tail: str = "nms",
    converter: str = "mo",
    bake: str = "values",
) -> Cost:
    """Write the FP32 IR at `source` in 8 bits to `target`, both paths of an .xml, and return what that costs.

    `original` says where its heads are, `sources` are the digests of its files; the rest is as for `convert`.
    Raises ConversionError where it cannot be quantised, RecipeError for pictures that cannot be read, or on which
    nothing can be measured.
    """
    made_by = f"{openvino_converter.made_by(converter)}, NNCF {tool_versions(['nncf'])['nncf']}"
    run = _Quantisation(recipe, original, source, pictures, options, sources, tail, made_by, bake)
    with temporary_folder_beside(target.parent) as folder:
        kept: tuple[Path, Cost] | None = None
        for number, scheme in enumerate(run.schemes()):
            attempt = folder / str(number) / target.name
            run.write(run.quantised(scheme), attempt)
            latest = run.cost(attempt, scheme)
            if not latest.kept:
                log.warning("%s", latest.told)
            if kept is None or latest.kept or latest.drop < kept[1].drop:
                kept = attempt, latest
            if latest.kept:
                break
        assert kept is not None
        put_ir(kept[0], target)
    return kept[1]


@dataclass(frozen=True)
class _Quantisation:
    """One FP32 IR, and the pictures that it is quantised and measured on."""

    recipe: Recipe
    original: Original
    source: Path
    pictures: CalibrationSet
    options: CalibrationOptions
    sources: Mapping[str, str]
    tail: str
    made_by: str
    bake: str

    @cached_property
    def model(self) -> Any:
        """The openvino.Model in floating point, its heads named."""
        model = read_ir(self.source)
        self.original.prepare(model)
        return model

    @cached_property
    def detector(self) -> Detector:
        return open_detector(self.source, self.recipe, many=True)

    @cached_property
    def heads(self) -> list[str]:
        """The names of the heads' tensors."""
        return [tensor.name for tensor in self.original.tensors_in_ir.values()]

    @cached_property
    def reference(self) -> Found:
        """What the model finds in floating point."""
        return self.found(self.source)

    @cached_property
    def criterion(self) -> Criterion:
        return criterion_for(self.recipe, self.pictures, self.options.limit, self.reference)

    @cached_property
    def reference_value(self) -> float:
        return self.criterion.value(self.reference)

    def schemes(self) -> Iterator[Scheme]:
        """Yield ways to quantise, each of which keeps more than the one before and takes longer."""
        _ = self.criterion  # it refuses pictures that tell nothing, before any work
        yield Scheme()
        corrected = Scheme(bias_correction=True)
        yield corrected
        inputs = [self.fed(index) for index in range(min(RANKING_PICTURES, len(self.pictures.calibrated)))]
        ranked = most_costly_first(self.quantised(corrected), up_to_heads(self.model, self.heads), inputs)
        weights, count = numbers_in(self.model), FIRST_LEFT_OUT
        most = MOST_LEFT_OUT * sum(weights.values())
        while count <= len(ranked) and sum(weights[name] for name in ranked[:count]) < most:
            yield replace(corrected, in_float=tuple(ranked[:count]))
            count *= 2

    def quantised(self, scheme: Scheme) -> Any:
        """Return the network up to its heads in 8 bits."""
        heads = up_to_heads(self.model, self.heads)
        return quantised(heads, self.fed, len(self.pictures.calibrated), self.options.preset, scheme)

    def fed(self, index: int) -> NDArray[Any]:
        """Return a calibration picture as the IR takes it."""
        pixels = read_picture(self.pictures.calibrated[index])
        fed = self.detector.batch([self.detector.prepared(pixels)])
        # one that resizes pictures takes them as they are; any other takes f32, and `detect` alone feeds it u8
        return fed if self.detector.model.resizes else fed.astype(np.float32)

    def found(self, xml: Path) -> Found:
        """Return what an IR hands out for each measured picture, as a deployer would run it."""
        detector = self.detector if xml == self.source else open_detector(xml, self.recipe, many=True)
        model = detector.model

        def finish(index: int, pixels: Any, rows: Any) -> tuple[int, Any]:
            found = rows.detections(model.first_label, model.sides)
            return index, in_picture(found, pixels, model.input)

        def read(index: int) -> Any:
            return read_picture(self.pictures.measured[index])

        found = {}
        for result in detected(detector, range(len(self.pictures.measured)), read, finish):
            if isinstance(result, SsdconvertError):
                raise result
            found[result[0]] = result[1]
        return found

    def write(self, heads: Any, target: Path) -> None:
        """Write a model of quantised heads and the rest as it was."""
        whole = with_the_rest(heads, self.model, self.heads)
        name_deterministically(whole, {node.get_friendly_name() for node in self.model.get_ops()})
        describe(whole, self.recipe, PRECISION, self.sources, self.made_by, self.bake)
        form = self.original.form_in_ir(self.tail)
        shapes = self.original.head_shapes(self.recipe.classes)
        write_ir(whole, self.recipe, PRECISION, target, form, shapes, self.bake)

    def cost(self, xml: Path, scheme: Scheme) -> Cost:
        """Measure an IR against the one in floating point."""
        return Cost(
            self.criterion.metric,
            self.reference_value,
            self.criterion.value(self.found(xml)),
            self.criterion.limit,
            len(self.pictures.measured),
            len(self.pictures.calibrated),
            f"{self.options.preset}, {scheme.told}",
            tuple(left_in_float(read_ir(xml))),
            openvino_name(),
            digests_of(xml),
        )
