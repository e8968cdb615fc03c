"""By what is told what quantisation costs: mAP where pictures are annotated, what both models find elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ssdconvert.accuracy.coco_map import METRIC, coco_rows, mean_precision
from ssdconvert.errors import RecipeError
from ssdconvert.gate_limits import limits_of
from ssdconvert.judgement import agreement_in_bytes
from ssdconvert.quantisation.calibration import CalibrationSet
from ssdconvert.recipe import Recipe
from ssdconvert.ssd.detections import NO_DETECTIONS, Detections

Found = Mapping[int, Detections]  # by the index of a measured picture
AGREEMENT = "share of detections with a counterpart"


class Criterion(Protocol):
    """A number of 0..1 for what a model finds, the higher the better; `limit` is how far it may drop."""

    @property
    def metric(self) -> str:
        """What is measured."""

    @property
    def limit(self) -> float:
        """How far below that of the model in floating point it may be, as a fraction."""

    def value(self, found: Found) -> float:
        """Measure what was found in some of the pictures."""


@dataclass(frozen=True)
class AnnotatedCriterion:
    """COCO's mean average precision."""

    pictures: CalibrationSet
    limit: float
    metric: str = METRIC

    def value(self, found: Found) -> float:
        """Return AP over the pictures; 0 where none of them has an annotation."""
        assert self.pictures.data is not None
        ids = self.pictures.category_ids or {}
        chosen = {index: self.pictures.annotated[index] for index in found}
        rows = [row for index, picture in chosen.items() for row in coco_rows(picture, found[index], ids)]
        wanted = [picture.id for picture in chosen.values()]
        return mean_precision(self.pictures.data.document, rows, wanted, set(ids.values())).ap or 0.0


@dataclass(frozen=True)
class AgreementCriterion:
    """What the model in floating point finds, in place of annotations: the share that has a counterpart.

    `reference` is what that model finds. The limit is the gate's, for the same number.
    """

    recipe: Recipe
    reference: Found
    limit: float
    metric: str = AGREEMENT

    def value(self, found: Found) -> float:
        """Return the mean share over the pictures in which either finds something; 1 where neither does in any."""
        compared = [
            agreement_in_bytes(self.recipe, self.reference[index], detections)
            for index, detections in found.items()
        ]
        # many pictures of nothing would hide that it is lost in the few that show something
        shares = [one.share for one in compared if one.matched or one.share < 1]
        return float(np.mean(shares)) if shares else 1.0


def criterion_for(recipe: Recipe, pictures: CalibrationSet, points: float, reference: Found) -> Criterion:
    """Return what quantisation is measured by; `points` is the largest drop of mAP.

    Raises RecipeError where the model in floating point finds nothing, or nothing that is annotated.
    """
    criterion: Criterion
    if pictures.data is not None:
        criterion = AnnotatedCriterion(pictures, points / 100)
    else:
        share = limits_of(recipe, "INT8").share or 1.0
        criterion = AgreementCriterion(recipe, reference, 1 - share)
    if criterion.value(reference) <= criterion.value(dict.fromkeys(reference, NO_DETECTIONS)):
        raise RecipeError(
            f"the model finds nothing{' that is annotated' if pictures.data else ''} in the {len(reference)} "
            "calibration pictures: what quantisation costs cannot be measured on them",
            hint="give pictures of what the model detects as --calibration",
            stage="quantize",
        )
    return criterion
