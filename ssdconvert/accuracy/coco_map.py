"""COCO's mean average precision, by pycocotools: the metric `coco-map (pycocotools)`.

AP is the mean over IoU 0.50 to 0.95 in steps of 0.05, over 101 recalls and over categories, of at most the best 100
detections of a picture and category; small, medium and large are areas below 32 x 32, below 96 x 96 and above.
Other tools compute other numbers under this name: OpenVINO's accuracy checker was seen 0.76 points away.
"""

import contextlib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.ssd.detections import Detections

METRIC = "coco-map (pycocotools)"
LabelledRow = tuple[int, float, float, float, float, float]  # label, x, y, width, height, score


@dataclass(frozen=True)
class MeanPrecision:
    """Mean average precisions, as fractions; None where nothing is annotated that they are the mean of.

    `by_class` has the AP of each category by its name.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    small: float | None
    medium: float | None
    large: float | None
    by_class: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of evaluation.json."""
        parts = ("ap", "ap50", "ap75", "small", "medium", "large")
        return {**{part: getattr(self, part) for part in parts}, "by_class": dict(self.by_class)}


def coco_rows(
    picture: AnnotatedPicture, detections: Detections, category_ids: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Return detections, boxes in 0..1 of the picture, in COCO's form of results: x, y, width, height in pixels.

    Pixels are those of the picture's size in the annotations. Labels without a category are left out.
    """
    return as_results(picture.id, labelled_rows(labelled_array(picture, detections)), category_ids)


def labelled_array(picture: AnnotatedPicture, detections: Detections) -> NDArray[np.float64]:
    """Return [N, 6], label, x, y, width, height, score, of detections: boxes in 0..1 of the picture, in its pixels."""
    corners = detections.boxes.astype(np.float64) * ([picture.width, picture.height] * 2)
    sides = corners[:, 2:] - corners[:, :2]
    return np.column_stack([detections.labels, corners[:, :2], sides, detections.scores.astype(np.float64)])


def labelled_rows(array: NDArray[np.float64]) -> list[LabelledRow]:
    """Return the rows of `labelled_array`, their labels as whole numbers."""
    return [(int(label), x, y, width, height, score) for label, x, y, width, height, score in array.tolist()]


def as_results(
    picture: int, rows: Iterable[LabelledRow], category_ids: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Return the rows of a picture in COCO's form of results, those whose label has a category."""
    return [
        {"image_id": picture, "category_id": category_ids[label], "bbox": box, "score": score}
        for label, *box, score in rows
        if label in category_ids
    ]


def mean_precision(
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    picture_ids: Collection[int],
    category_ids: Collection[int],
) -> MeanPrecision:
    """Return the mean average precisions of results on annotations in COCO's form, over these pictures and categories.

    Detections on other pictures or of other categories count for nothing.
    """
    return precision_of(matched(document, rows, picture_ids, category_ids), document)


def matched(
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    picture_ids: Collection[int],
    category_ids: Collection[int],
) -> Any:
    """Return pycocotools' COCOeval after it has matched detections to annotations, picture by picture."""
    from pycocotools.cocoeval import COCOeval

    wanted = set(picture_ids)
    with silent():
        found = [dict(row) for row in rows if row["image_id"] in wanted]
        truth = _coco({**document, "annotations": [dict(entry) for entry in document["annotations"]]})
        results = (
            truth.loadRes(found) if found else _coco({**document, "annotations": []})
        )  # it takes no empty list
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.params.imgIds = sorted(wanted)
        evaluation.params.catIds = sorted(category_ids)
        evaluation.evaluate()
    return evaluation


def precision_of(evaluation: Any, document: Mapping[str, Any]) -> MeanPrecision:
    """Return the mean average precisions of what `matched` returned."""
    with silent():
        evaluation.accumulate()
        evaluation.summarize()
    names = {category["id"]: category["name"] for category in document["categories"]}
    precision = evaluation.eval["precision"]  # [IoU, recall, category, area, most detections], -1: undefined
    by_class = {}
    for index, number in enumerate(evaluation.params.catIds):
        own = precision[:, :, index, 0, -1]
        by_class[names[int(number)]] = float(np.mean(own)) if (own > -1).all() else None
    ap, ap50, ap75, small, medium, large = (
        None if value < 0 else float(value) for value in evaluation.stats[:6]
    )
    return MeanPrecision(ap, ap50, ap75, small, medium, large, by_class)


def _coco(document: Mapping[str, Any]) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = document
    coco.createIndex()
    return coco


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what pycocotools prints from stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
