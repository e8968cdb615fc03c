"""What the original says of each sample, kept in a folder: any number of pictures fits in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ssdconvert.errors import ConversionError
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Input, Recipe
from ssdconvert.runners import Arrays
from ssdconvert.samples import Picture, Sample, as_pixels
from ssdconvert.ssd.boxes import FloatArray
from ssdconvert.ssd.detections import NO_DETECTIONS, Detections, detections_of
from ssdconvert.ssd.heads import DECODED_BOXES


@dataclass(frozen=True)
class Reference:
    """What the original says of one sample.

    `heads` by our names, with the decoded boxes among them. `detections` follow from them by the recipe's
    rule; `own` is what the original detects itself, None where it ends in heads. Of an original that ends in
    tensors without a meaning, `heads` are these and the rest is empty.
    """

    sample: Sample
    heads: Arrays
    probabilities: FloatArray
    boxes: FloatArray
    detections: Detections
    own: Detections | None


def fed(original: Original, sample: Sample, spec: Input, intended: Input) -> FloatArray:
    """Return what the original is fed of a sample that is prepared by `spec`, where `intended` is right."""
    image = sample.for_original(spec)
    return as_pixels(image, intended) if original.takes_pixels else image


def reference_of(recipe: Recipe, original: Original, sample: Sample) -> Reference:
    """Run the original on a sample; ConversionError where its engine fails, or gives what is no number."""
    image = fed(original, sample, recipe.input, recipe.input)
    outputs = original.runner.run({recipe.input.name: image})
    heads = original.heads_in(outputs)
    for name, array in heads.items():
        if not np.isfinite(array).all():
            raise ConversionError(f"its {name} hold NaN or infinity", hint="try it on other pictures")
    if not original.detects:
        nothing = np.zeros((0, 4), np.float32)
        return Reference(sample, heads, nothing, nothing, NO_DETECTIONS, None)
    own = original.own.read(outputs, output_spec(recipe)) if original.own else None
    probabilities, boxes = original.heads.decoded(heads)
    detections = detections_of(probabilities, boxes, recipe.detections)
    return Reference(sample, {DECODED_BOXES: boxes[None]} | heads, probabilities, boxes, detections, own)


class References:
    """Samples and references in files of `folder`, in the order in which they were added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.detections = 0  # of all references together
        self._kept: list[tuple[Sample, Arrays]] = []  # both without the numbers, which are in a file

    def add(self, sample: Sample, reference: Reference | None) -> None:
        """Keep a sample with its reference, None where the original failed on it."""
        arrays: Arrays = {}
        if isinstance(sample, Picture):
            arrays["pixels"] = sample.pixels
            sample = replace(sample, pixels=sample.pixels[:0])
        arrays |= _flat(reference) if reference else {}
        with self._path(len(self)).open("wb") as file:
            for array in arrays.values():
                np.ascontiguousarray(array).tofile(file)
        empty = {name: np.broadcast_to(array.dtype.type(), array.shape) for name, array in arrays.items()}
        self._kept.append((sample, empty))
        self.detections += len(reference.detections) if reference else 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[Sample, Reference | None]]:
        return (self._load(index) for index in range(len(self)))

    def __getitem__(self, name: str) -> tuple[Sample, Reference | None]:
        """Return the sample of a name, and its reference."""
        return self._load(self.names.index(name))

    def pictures(self, generated: bool) -> list[str]:
        """Return the names of the pictures with a reference, generated ones or the others; none is loaded."""
        return [
            sample.name
            for sample, arrays in self._kept
            if isinstance(sample, Picture) and sample.generated == generated and arrays.keys() - {"pixels"}
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the samples."""
        return tuple(sample.name for sample, _ in self._kept)

    def _load(self, index: int) -> tuple[Sample, Reference | None]:
        sample, empty = self._kept[index]
        with self._path(index).open("rb") as file:
            arrays = {
                name: np.fromfile(file, like.dtype, like.size).reshape(like.shape)
                for name, like in empty.items()
            }
        if isinstance(sample, Picture):
            sample = replace(sample, pixels=arrays.pop("pixels"))
        return sample, _of_flat(sample, arrays) if arrays else None

    def _path(self, index: int) -> Path:
        return self.folder / f"{index}.raw"


def _flat(reference: Reference) -> Arrays:
    """Return every array of a reference by a name of its own."""
    arrays: Arrays = {"probabilities": reference.probabilities, "boxes": reference.boxes}
    arrays |= {f"heads/{name}": array for name, array in reference.heads.items()}
    for name, found in (("detections", reference.detections), ("own", reference.own)):
        if found is not None:
            arrays |= {f"{name}/{field.name}": getattr(found, field.name) for field in fields(found)}
    return arrays


def _of_flat(sample: Sample, arrays: Arrays) -> Reference:
    def below(folder: str) -> Arrays:
        return {name.removeprefix(folder): array for name, array in arrays.items() if name.startswith(folder)}

    own = below("own/")
    return Reference(
        sample, below("heads/"), arrays["probabilities"], arrays["boxes"], Detections(**below("detections/")),
        Detections(**own) if own else None,
    )  # fmt: skip
