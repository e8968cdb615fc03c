"""Judges an IR that resizes pictures itself: on pictures of their own size, odd ones among them.

Two numbers tell more than their product. Behind the resize, the tensor is held against what the original's own
library makes of the picture, in levels of 0..255. Behind that, everything is held against the original run on
exactly the levels that the IR has made, by the same limits as any IR. Beside both, the detections are held against
those of the original with its own preprocessing: that is what the difference of the two filters costs.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.candidate import Candidate
from ssdconvert.errors import SsdconvertError
from ssdconvert.gate_limits import limits_between
from ssdconvert.judgement import checks_against, checks_of_outputs, detection_checks
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Input, Recipe
from ssdconvert.references import Reference, References, reference_of
from ssdconvert.report.result import Check, judged
from ssdconvert.report.words import FILTER_COST, LEVELS
from ssdconvert.runners import Arrays, Runner
from ssdconvert.samples import Picture, PictureFile, Sample
from ssdconvert.ssd.preprocess import Pixels, converted_input, picture_input, resized

# Levels of 0..255, the largest difference and the mean. A right filter differs from the library's by roundings: where
# the exact value is halfway between two levels, or nearly, by one in each of Pillow's two passes, so by 2 once in
# thousands; OpenCV's by 1. On noise, stripes and ramps of 1500 sizes the mean was below 0.27 (Pillow, its passes in the
# other order); without rounding up it is 0.5. On noise that is halved wrong filters differ by 60 and more, by 7 on
# average (Pillow's bilinear and OpenCV's area, the nearest of all), half a pixel of shift by 157 and 32.
MOST_LEVELS, MEAN_LEVELS = 2.0, 0.35
# Width, height: wide and narrow, even and odd, and larger than many networks.
ODD = ((401, 299), (1023, 767), (97, 1301))
# There is no limit for it: a level more or less, on an eighth of the numbers, moves a trained network's scores by 0.009
# and the smallest boxes by an IoU of 0.1 (UltraFace RFB-320 on a dozen photographs; ssd-demo by 0.001 and 0.001), one
# with weights from a seed by 0.13. Right or wrong is said by the checks beside it.
TOLD = "told, not judged: what the roundings come to in which the filter inside differs from the original's"


def odd_sized(samples: Sequence[Sample | PictureFile], spec: Input) -> list[PictureFile]:
    """Return the first photograph in odd sizes, noise of more than twice the network's size, and a single pixel."""
    photographs = [one for one in samples if isinstance(one, PictureFile | Picture) and not one.generated]
    found = [
        PictureFile(f"{first.name} at {width}x{height}", partial(_stretched, first, width, height))
        for first in photographs[:1]
        for width, height in ODD
    ]
    for width, height in ((2 * spec.shape[3] + 1, 2 * spec.shape[2] - 1), (1, 1)):
        name = f"noise at {width}x{height}"
        found.append(PictureFile(name, partial(_noise, width, height), generated=True))
    return found


def _pixels(picture: Picture | PictureFile) -> Pixels:
    return picture.pixels if isinstance(picture, Picture) else picture.read()


def _stretched(picture: Picture | PictureFile, width: int, height: int) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(_pixels(picture)).resize((width, height), Image.Resampling.BICUBIC))


def _noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


class WholePictures:
    """The pictures among `samples`, and odd-sized ones, each read when it is needed.

    `references` are those of the samples; what the original says of others is kept in `folder`.
    """

    def __init__(
        self,
        recipe: Recipe,
        original: Original,
        samples: Sequence[Sample | PictureFile],
        references: References,
        folder: Path,
    ) -> None:
        self.recipe, self.original = recipe, original
        self.samples, self.references, self.folder = samples, references, folder
        self._known: References | None = None

    def checks(self, base: Check, candidate: Candidate, runner: Runner) -> Iterator[Check]:
        """Yield the checks of an IR on each picture."""
        files = [one for one in self.samples if isinstance(one, PictureFile | Picture)]
        for picture in (*files, *odd_sized(self.samples, self.recipe.input)):
            try:
                pixels = _pixels(picture)
            except SsdconvertError:
                continue  # told already, of the original
            here = replace(base, input=f"whole {picture.name}")
            try:
                outputs = runner.run({self.recipe.input.name: picture_input(pixels, self.recipe.input)})
            except SsdconvertError as error:
                yield replace(here, metric="runs", status="fail", reason=error.message)
                continue
            try:
                whole = Picture(picture.name, pixels, picture.generated)
                yield from self._checks_of(here, candidate, whole, outputs)
            except SsdconvertError as error:  # of the original
                yield replace(here, metric="usable", status="inconclusive", reason=error.message)

    def _checks_of(
        self, base: Check, candidate: Candidate, picture: Picture, outputs: Arrays
    ) -> Iterator[Check]:
        recipe, original, spec = self.recipe, self.original, self.recipe.input
        pixels, inside = picture.pixels, outputs[candidate.resized]
        expected = converted_input(pixels, spec)
        if inside.shape != expected.shape:
            reason = f"expected the shape {list(expected.shape)}, got {list(inside.shape)}"
            yield replace(base, output="resized", metric="shape", status="fail", reason=reason)
            return
        resize = list(_checks_of_resize(base, inside, expected))
        yield from resize
        as_meant = as_made = self._reference(replace(picture, pixels=resized(pixels, spec)))
        if resize[0].value != 0:
            as_made = self._reference(replace(picture, pixels=_as_pixels(inside, spec)))
        contract = output_spec(recipe)
        broken = candidate.form.broken(outputs, contract) if candidate.form else []
        yield from checks_of_outputs(base, original, candidate, broken)
        found = candidate.form.read(outputs, contract) if candidate.form and not broken else None
        yield from checks_against(base, recipe, original, candidate, as_made, outputs, found)
        right = all(check.status == "pass" for check in resize)
        if found is not None and as_made is not as_meant and not picture.generated and right:
            limits = limits_between(recipe, candidate.precision, original.precision)
            for cost in detection_checks(base, recipe, as_meant, found, limits):
                told = f"{TOLD}: {cost.reason}" if cost.reason else TOLD
                yield replace(
                    cost, output=FILTER_COST, limit=None, required=None, status="skipped", reason=told
                )

    def _reference(self, picture: Picture) -> Reference:
        """Return what the original says of a picture at its input's size; IRs that resize alike share it."""
        if picture.name in self.references.names:
            sample, reference = self.references[picture.name]
            same = isinstance(sample, Picture) and np.array_equal(sample.pixels, picture.pixels)
            if same and reference is not None:
                return reference
        if self._known is None:
            self.folder.mkdir()
            self._known = References(self.folder)
        digest = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
        picture = replace(picture, name=f"{picture.name} {digest}")
        if picture.name not in self._known.names:
            self._known.add(picture, reference_of(self.recipe, self.original, picture))
        _, reference = self._known[picture.name]
        assert reference is not None
        return reference


def _checks_of_resize(base: Check, inside: NDArray[Any], expected: NDArray[Any]) -> Iterator[Check]:
    """Hold the tensor behind the resize against the original's own preprocessing, both f32 [1, 3, H, W]."""
    levels = np.abs(inside.astype(np.float64) - expected)
    statistics = {"mean": float(levels.mean()), "p99.9": float(np.quantile(levels, 0.999))}
    base = replace(base, output="resized", statistics=statistics)
    yield replace(base, metric=LEVELS, **judged(float(levels.max()), MOST_LEVELS))
    yield replace(base, metric="mean levels of 255", **judged(float(levels.mean()), MEAN_LEVELS))


def _as_pixels(inside: NDArray[Any], spec: Input) -> Pixels:
    """Return a tensor of whole levels, f32 [1, 3, H, W] in converted order, as RGB pixels [H, W, 3]."""
    levels = np.rint(np.clip(np.nan_to_num(inside[0]), 0, 255)).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(levels if spec.color.converted == "rgb" else levels[..., ::-1])
