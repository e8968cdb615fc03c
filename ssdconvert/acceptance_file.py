"""What the original said of a few pictures, in one file: the reference on machines that cannot run the original.

An .npz without pickles: `about` is JSON, `default_boxes` [P, 4] are there where boxes are offsets of them, and each
picture N has `N/pixels`, RGB u8 [H, W, 3] at the size of the input, `N/heads/NAME`, and `N/own/FIELD` where the
original detects by itself.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.errors import ConversionError
from ssdconvert.gate_limits import DEFAULT_LIMITS
from ssdconvert.ir_graph import suppression_of
from ssdconvert.originals import Original
from ssdconvert.outputs import form_of
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference, References
from ssdconvert.runners import Arrays
from ssdconvert.samples import Picture
from ssdconvert.ssd.detections import Detections, detections_of
from ssdconvert.ssd.heads import DECODED_BOXES, BoxCoding, Heads, HeadTensor
from ssdconvert.workspace import written_atomically

SCHEMA_VERSION = 1
ENOUGH = 16 << 20  # bytes: no more pictures are kept then, of which two are at least
MOST_PICTURES, LEAST_PICTURES = 8, 2
DAMAGED = (  # what zipfile, NumPy and JSON raise over a file that anybody may have written
    OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass
class RecordedRunner:
    """The engine in which the original ran elsewhere: it is told of, and runs nothing."""

    runtime: str
    executed_on: str = ""
    execution_precision: str = ""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Raise ConversionError: there is nothing to run."""
        raise ConversionError(
            "the original is not here: what it said is recorded of a few pictures", hint="", stage="verify"
        )


def write_acceptance(path: Path, original: Original, references: References) -> None:
    """Write what the original says of pictures that are not generated, first of those on which it detects something."""
    heads = original.heads
    about = {
        "schema": SCHEMA_VERSION,
        "runtime": original.runner.runtime,
        "clip": heads.clip,
        "logits": heads.logits,
        "coding": {
            "variances": heads.coding.variances,
            "largest_size_offset": heads.coding.largest_size_offset,
        }
        if heads.coding
        else None,
        "tensors": {name: asdict(tensor) for name, tensor in original.tensors.items()},
        "default_boxes": original.default_boxes,
        "outputs": original.own.names if original.own else None,
        "keeps_outputs": original.keeps_outputs,
        "quantised": original.quantised,
        "in_order_of_score": original.in_order_of_score,
        "precision": original.precision,
    }
    arrays: Arrays = {"default_boxes": heads.coding.default_boxes} if heads.coding else {}
    names = list[str]()
    for reference in _kept(references):
        assert isinstance(reference.sample, Picture)
        arrays |= {f"{len(names)}/{name}": array for name, array in _arrays_of(reference, heads).items()}
        names.append(reference.sample.name)
    arrays["about"] = np.array(json.dumps({**about, "pictures": names}))
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _kept(references: References) -> Iterator[Reference]:
    """Yield the references to keep, by what they show and as many as `ENOUGH` bytes hold; one at a time is loaded."""

    def loaded(name: str) -> Reference:
        _, reference = references[name]
        assert reference is not None
        return reference

    names = references.pictures(generated=False)[: 4 * MOST_PICTURES]
    shows_nothing = {name: not len(loaded(name).detections) for name in names}
    size = 0
    for count, name in enumerate(sorted(names, key=shows_nothing.__getitem__)[:MOST_PICTURES]):
        reference = loaded(name)
        size += sum(array.nbytes for array in reference.heads.values())
        if count >= LEAST_PICTURES and size > ENOUGH:
            return
        yield reference


def _arrays_of(reference: Reference, heads: Heads) -> Arrays:
    assert isinstance(reference.sample, Picture)
    arrays: Arrays = {"pixels": reference.sample.pixels}
    arrays |= {f"heads/{name}": reference.heads[name] for name in heads.names}
    if reference.own is not None:
        arrays |= {f"own/{field.name}": getattr(reference.own, field.name) for field in fields(Detections)}
    return arrays


def read_acceptance(path: Path, recipe: Recipe) -> tuple[Original, list[Reference]]:
    """Return the original as it was recorded, and what it said; ConversionError where the file is not whole."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if about["schema"] != SCHEMA_VERSION:
                raise ValueError(f"it has schema {about['schema']}, expected {SCHEMA_VERSION}")
            original = _original(recipe, about, arrays)
            places = range(len(about["pictures"]))
            return original, [_reference(recipe, original, about["pictures"][n], n, arrays) for n in places]
    except FileNotFoundError:
        raise ConversionError(
            f"{path.name} is missing: there is nothing to compare with",
            hint="build the model again, and package it again",
            stage="verify",
        ) from None
    except DAMAGED as error:
        raise ConversionError(
            f"{path.name} cannot be read: {error}",
            hint="get the archive again, or a newer ssdconvert",
            stage="verify",
        ) from error


def _original(recipe: Recipe, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Original:
    coding = None
    if about["precision"] not in DEFAULT_LIMITS:
        raise ValueError(f"there is no precision {about['precision']!r}")
    if about["coding"]:
        first, second = about["coding"]["variances"]
        coding = BoxCoding(arrays["default_boxes"], (first, second), about["coding"]["largest_size_offset"])

    def prepare(model: Any) -> Any:
        """Name the tensors of a ready IR, which has no names of ours."""
        return suppression_of(model, len(recipe.class_names)) if recipe.source.kind == "ir" else None

    placed = {
        name: HeadTensor(**tensor | {"sides": tuple(tensor["sides"])})
        for name, tensor in about["tensors"].items()
    }
    return Original(
        Heads(coding, about["clip"], about["logits"]),
        about["default_boxes"],
        None,
        RecordedRunner(f"{about['runtime']}, as recorded"),
        placed,
        form_of(about["outputs"]) if about["outputs"] else None,
        about["keeps_outputs"],
        about["quantised"],
        prepare,
        about["in_order_of_score"],
        precision=about["precision"],
    )


def _reference(
    recipe: Recipe, original: Original, name: str, place: int, arrays: Mapping[str, NDArray[Any]]
) -> Reference:
    heads = {head: arrays[f"{place}/heads/{head}"] for head in original.heads.names}
    pixels, expected = arrays[f"{place}/pixels"], (*recipe.input.shape[2:], 3)
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise ValueError(f"{name} is {pixels.dtype} {pixels.shape}, expected uint8 {expected}")
    if not all(array.dtype.kind == "f" for array in heads.values()):
        raise ValueError(f"the heads of {name} are not numbers of floating point")
    own = None
    if original.own is not None:
        own = Detections(**{field.name: arrays[f"{place}/own/{field.name}"] for field in fields(Detections)})
    probabilities, boxes = original.heads.decoded(heads)
    found = detections_of(probabilities, boxes, recipe.detections)
    sample = Picture(str(name), pixels)
    return Reference(sample, {DECODED_BOXES: boxes[None]} | heads, probabilities, boxes, found, own)
