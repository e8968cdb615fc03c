"""What a model is checked on: pictures, and inputs that its publisher recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.generated_pictures import generated_pictures
from ssdconvert.outputs import STATIC, form_of
from ssdconvert.pictures import read_picture
from ssdconvert.recipe import Input, Recipe
from ssdconvert.recipe_source import OnnxSource
from ssdconvert.runners import Arrays
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.preprocess import Pixels, converted_input, original_input, resized
from ssdconvert.zoo_archive import Recording, read_zoo_archive


class Sample(Protocol):
    """One input, as the original takes it and as the converted model does; both f32 [1, 3, H, W]."""

    @property
    def name(self) -> str: ...

    def for_original(self, spec: Input) -> FloatArray: ...

    def for_converted(self, spec: Input) -> FloatArray: ...


@dataclass(frozen=True)
class Picture:
    """RGB pixels [H, W, 3] of any size; `generated` ones show nothing that a network was trained on."""

    name: str
    pixels: Pixels
    generated: bool = False

    def for_original(self, spec: Input) -> FloatArray:
        """Return the model's channel order, (value - mean) / scale."""
        return original_input(self.pixels, spec)

    def for_converted(self, spec: Input) -> FloatArray:
        """Return the converted model's channel order, 0..255."""
        return converted_input(self.pixels, spec)


def is_generated(sample: Sample) -> bool:
    """Say whether a sample shows nothing that a network was trained on."""
    return isinstance(sample, Picture) and sample.generated


@dataclass(frozen=True)
class Recorded:
    """An input of the original, f32 [1, 3, H, W], with the outputs by name that its publisher got from it."""

    name: str
    image: FloatArray
    outputs: Arrays

    def for_original(self, spec: Input) -> FloatArray:
        """Return the input as it was recorded."""
        return self.image

    def for_converted(self, spec: Input) -> FloatArray:
        """Undo the preprocessing that the converted model does inside."""
        return as_pixels(self.image, spec)


@dataclass(frozen=True)
class PictureFile:
    """A picture that is read when it is needed, so that any number of them fits in memory."""

    name: str
    read: Callable[[], Pixels]
    generated: bool = False

    def opened(self, spec: Input) -> Picture:
        """Return it at the input's size; RecipeError where it cannot be read."""
        return Picture(self.name, resized(self.read(), spec), self.generated)


def picture_files(named: Sequence[tuple[str, Path]]) -> list[PictureFile]:
    """Return pictures, name and path, and the generated ones behind them."""
    files = [PictureFile(name, partial(read_picture, path, name)) for name, path in named]
    for name, encode in generated_pictures().items():
        files.append(PictureFile(name, partial(_decoded, encode, name), generated=True))
    return files


def _decoded(encode: Callable[[], bytes], name: str) -> Pixels:
    return read_picture(encode(), name)


def as_pixels(image: FloatArray, spec: Input) -> FloatArray:
    """Return the converted model's channel order, 0..255, of an input of the original, both f32 [1, 3, H, W]."""
    mean, scale = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.scale))
    pixels = image * scale + mean
    return np.ascontiguousarray(pixels[:, ::-1] if spec.color.model != spec.color.converted else pixels)


def recorded_samples(recipe: Recipe, archive: Path | None) -> list[Recorded]:
    """Return what an archive of the ONNX Model Zoo holds; ConversionError where it is of another model."""
    if archive is None or not isinstance(recipe.source, OnnxSource):
        return []
    recordings = read_zoo_archive(archive).recordings
    for recording in recordings:
        problem = _misfit(recipe, recording)
        if problem:
            raise ConversionError(
                f"{archive.name} has in {recording.name} {problem}",
                hint="correct source.recorded in the recipe: the archive is of another model",
                stage="load",
            )
    return [Recorded(one.name, one.inputs[recipe.input.name], one.outputs) for one in recordings]


def _misfit(recipe: Recipe, recording: Recording) -> str:
    """Return how a recording differs from what the recipe's model takes and gives, or an empty string."""
    inputs = {name: f"{array.dtype} {list(array.shape)}" for name, array in recording.inputs.items()}
    expected = {recipe.input.name: f"float32 {list(recipe.input.shape)}"}
    if inputs != expected:
        return f"the inputs {inputs}, expected {expected}"
    shapes = {name: list(array.shape) for name, array in recording.outputs.items()}
    rows = {tuple(shape[:2]) for shape in shapes.values()}
    if isinstance(recipe.source, OnnxSource) and recipe.source.heads:
        return ""  # its detections are not the original's
    if form_of(shapes) is not STATIC or len(rows) != 1 or shapes["bboxes"][2:] != [4]:
        return f"the outputs {shapes}, expected {', '.join(STATIC.names)} of equally many rows"
    return ""
