"""What a model is checked on: pictures, and inputs that its publisher recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.pictures import read_picture
from ssdconvert.recipe import Input, Recipe
from ssdconvert.recipe_source import OnnxSource
from ssdconvert.runners import Arrays
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.preprocess import Pixels, converted_input, original_input
from ssdconvert.zoo_archive import Recording, read_zoo_archive


class Sample(Protocol):
    """One input, as the original takes it and as the converted model does; both f32 [1, 3, H, W]."""

    @property
    def name(self) -> str: ...

    def for_original(self, spec: Input) -> FloatArray: ...

    def for_converted(self, spec: Input) -> FloatArray: ...


@dataclass(frozen=True)
class Picture:
    """RGB pixels [H, W, 3] of any size."""

    name: str
    pixels: Pixels

    def for_original(self, spec: Input) -> FloatArray:
        """Return the model's channel order, (value - mean) / scale."""
        return original_input(self.pixels, spec)

    def for_converted(self, spec: Input) -> FloatArray:
        """Return the converted model's channel order, 0..255."""
        return converted_input(self.pixels, spec)


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
        mean, scale = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (spec.mean, spec.scale))
        pixels = self.image * scale + mean
        return np.ascontiguousarray(pixels[:, ::-1] if spec.color.model != spec.color.converted else pixels)


def samples_of(recipe: Recipe, pictures: Sequence[tuple[str, Path]], evidence: Path | None) -> list[Sample]:
    """Return the pictures (name and path), and what an ONNX model's publisher recorded."""
    samples: list[Sample] = [Picture(name, read_picture(path)) for name, path in pictures]
    if isinstance(recipe.source, OnnxSource) and evidence:
        recordings = read_zoo_archive(evidence).recordings
        samples += [_recorded(recording, evidence.name, recipe.input) for recording in recordings]
    return samples


def _recorded(recording: Recording, archive: str, spec: Input) -> Recorded:
    """Return what a publisher recorded as a sample; ConversionError where it is not for this input."""
    image = recording.inputs.get(spec.name)
    if image is None or image.shape != spec.shape:
        found = {name: list(array.shape) for name, array in recording.inputs.items()}
        raise ConversionError(
            f"{archive}: {recording.name} has the inputs {found}, expected {spec.name!r} {list(spec.shape)}",
            hint="the archive belongs to another model: correct source.recorded in the recipe",
            stage="verify",
        )
    return Recorded(recording.name, image, recording.outputs)
