"""The pictures that a model is quantised on, and those on which is measured what that costs.

The ranges of activations are taken from the first. The cost is measured on other pictures, as far as there are
others: a range that fits the pictures it was taken from says little about the next one.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from ssdconvert.accuracy.categories import mapped
from ssdconvert.accuracy.data_set import AnnotatedPicture, DataSet, read_data_set
from ssdconvert.errors import RecipeError
from ssdconvert.pictures import pictures_given
from ssdconvert.quantisation.options import CalibrationOptions
from ssdconvert.recipe import Recipe
from ssdconvert.recipe_types import GENERATED
from ssdconvert.workspace import digest_of

SEED = 0  # of the draw, so that two builds take the same pictures
PICTURES_SEED = 2  # of generated pictures: 1 is that of the published accuracy, 20000 that of the training
FEWEST = 50  # pictures

Item = TypeVar("Item")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationSet:
    """Pictures to calibrate on and pictures to measure on, which may be the same.

    `data` holds the annotations of those that are measured and `category_ids` their categories by label; None
    where there are no annotations.
    """

    calibrated: tuple[Path, ...]
    measured: tuple[Path, ...]
    data: DataSet | None = None
    annotated: tuple[AnnotatedPicture, ...] = ()
    category_ids: dict[int, int] | None = None

    def digests(self) -> list[str]:
        """Return what the result depends on: the annotations with every picture of theirs, or the pictures."""
        if self.data:
            return [self.data.digest]
        return [digest_of(path) for path in dict.fromkeys([*self.calibrated, *self.measured])]


@contextmanager
def opened(source: str, options: CalibrationOptions, recipe: Recipe) -> Iterator[CalibrationSet]:
    """Give the pictures of a folder, of COCO annotations, or those that `generated:COUNT` stands for.

    Raises RecipeError where there are none, and for a largest drop that nothing can be measured by.
    """
    with TemporaryDirectory(prefix="ssdconvert-") as folder:
        path = Path(source)
        if source.startswith(GENERATED):
            path = _generated(Path(folder), int(source.removeprefix(GENERATED)))
        if _is_annotated(path):
            yield _drawn_annotated(_data_set(path), options, recipe)
            return
        if options.max_drop is not None:
            raise RecipeError(
                f"--max-drop is of mAP, and {source} holds pictures without annotations",
                hint="give COCO annotations as --calibration, or leave --max-drop out: what both models find is "
                "compared then",
                stage="quantize",
            )
        paths = [path for _, path in pictures_given([path])]
        yield CalibrationSet(*_halves(paths, options.samples))


def _is_annotated(path: Path) -> bool:
    return path.suffix in (".json", ".txt") or (path / "Annotations").is_dir()


def _data_set(path: Path) -> DataSet:
    """Read annotations whose pictures have to lie where they are looked for: `evaluate` has options for others."""
    try:
        return read_data_set(path)
    except RecipeError as error:
        if "--images" in error.hint:
            error.hint = "put the pictures there, or take those that are missing out of the annotations"
        raise


def _generated(folder: Path, count: int) -> Path:
    from ssdconvert.demo.pictures import write_coco

    write_coco(folder, count, PICTURES_SEED)
    return folder / "annotations.json"


def _drawn_annotated(data: DataSet, options: CalibrationOptions, recipe: Recipe) -> CalibrationSet:
    """Draw from annotated pictures; those without a box are calibrated on, and not measured."""
    calibrated, measured = _halves(data.pictures, options.samples)
    return CalibrationSet(
        tuple(picture.path for picture in calibrated),
        tuple(picture.path for picture in measured),
        data,
        measured,
        dict(mapped(recipe.class_names, data.categories, allow_unmapped=True).ids),
    )


def _halves(items: Sequence[Item], samples: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Draw `samples` to calibrate on, at most half of all, and as many others to measure on.

    Fewer than `FEWEST` for each would say little: then all serve for both.
    """
    if len(items) < samples:
        log.warning(
            "the calibration set holds %d pictures, and %d samples are asked for", len(items), samples
        )
    order = [items[index] for index in np.random.default_rng(SEED).permutation(len(items))]
    half = len(items) // 2
    if half < FEWEST:
        log.warning(
            "what 8 bits cost is measured on pictures that they are calibrated on, for want of others"
        )
    count = min(samples, half if half >= FEWEST else len(items))
    return tuple(order[:count]), tuple(order[count : count + samples] if half >= FEWEST else order[:samples])
