"""Mean average precision: what pycocotools says, called by hand."""

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdconvert.accuracy.coco_map import coco_rows, mean_precision
from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.ssd.detections import NO_DETECTIONS, Detections

Rows = list[dict[str, Any]]


def by_hand(document: dict[str, Any], rows: Rows, folder: Path, ids: list[int] | None = None) -> Any:
    """Return pycocotools' own evaluation of two files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    (folder / "truth.json").write_text(json.dumps(document))
    (folder / "found.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "found.json")), "bbox")
        if ids:
            evaluation.params.imgIds = ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("ids", [list(range(1, 41)), list(range(1, 31))])
def test_what_pycocotools_says_by_hand(annotated: Any, tmp_path: Path, ids: list[int]) -> None:
    document, rows = annotated
    before = copy.deepcopy((document, rows))
    found = mean_precision(document, rows, ids, [1, 2, 3])
    evaluation = by_hand(document, rows, tmp_path, ids)
    values = [found.ap, found.ap50, found.ap75, found.small, found.medium, found.large]
    assert values == pytest.approx(evaluation.stats[:6].tolist(), abs=1e-9)
    assert found.by_class["cow"] is None
    assert found.by_class["cat"] == pytest.approx(
        evaluation.eval["precision"][:, :, 0, 0, 2].mean(), abs=1e-9
    )
    assert before == (document, rows)


def test_pictures_without_annotations_cost(annotated: Any) -> None:
    document, rows = annotated
    counted = mean_precision(document, rows, range(1, 41), [1, 2, 3])
    skipped = mean_precision(document, rows, range(1, 31), [1, 2, 3])
    assert counted.ap < skipped.ap  # type: ignore[operator]


def test_nothing_is_printed(annotated: Any, capfd: pytest.CaptureFixture[str]) -> None:
    mean_precision(*annotated, [1], [1])
    assert capfd.readouterr() == ("", "")


def test_no_detections_at_all(annotated: Any) -> None:
    found = mean_precision(annotated[0], [], range(1, 41), [1, 2, 3])
    assert (found.ap, found.by_class) == (0.0, {"cat": 0.0, "dog": 0.0, "cow": None})


def test_what_nobody_annotated_is_undefined(annotated: Any) -> None:
    found = mean_precision(*annotated, [31, 32], [1, 2])
    assert found.to_json() == dict.fromkeys(["ap", "ap50", "ap75", "small", "medium", "large"]) | {
        "by_class": {"cat": None, "dog": None}
    }


def test_rows_are_in_pixels_of_the_annotations() -> None:
    picture = AnnotatedPicture(9, "a.jpg", Path("a.jpg"), 200, 100)
    boxes = np.array([[0.25, 0.5, 0.75, 1.5], [0, 0, 1, 1]], np.float32)
    detections = Detections(boxes, np.array([2, 5]), np.array([0.75, 0.5], np.float32))
    assert coco_rows(picture, detections, {2: 44}) == [
        {"image_id": 9, "category_id": 44, "bbox": [50.0, 50.0, 100.0, 100.0], "score": 0.75}
    ]
    assert coco_rows(picture, NO_DETECTIONS, {2: 44}) == []
