"""Intervals by drawing pictures again: each draw is what pycocotools would say of it."""

from typing import Any

import numpy as np
import pytest

from ssdconvert.accuracy.bootstrap import drawn_precisions, intervals, matches_of
from ssdconvert.accuracy.coco_map import matched, mean_precision, precision_of

IDS = range(1, 41)
RECALLS = np.linspace(0, 1, 101)


@pytest.fixture(scope="module")
def evaluation(annotated: Any) -> Any:
    return matched(*annotated, IDS, [1, 2, 3])


def test_every_picture_once_is_pycocotools_own(annotated: Any, evaluation: Any) -> None:
    weights = np.ones((2, 40), np.int64)
    found = drawn_precisions(matches_of(evaluation), weights, evaluation.params.recThrs)
    own = precision_of(evaluation, annotated[0])
    assert found[0] == pytest.approx([own.ap, own.ap50, own.ap75], abs=1e-12)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_is_what_pycocotools_says_of_pictures_that_are_there_several_times(
    annotated: Any, seed: int
) -> None:
    document, rows = annotated
    random = np.random.default_rng(seed)
    # of equal scores it would matter which is which
    rows = [{**row, "score": 0.9 - index / 1000} for index, row in enumerate(random.permutation(rows))]
    weights = random.multinomial(40, np.full(40, 1 / 40))
    evaluation = matched(document, rows, IDS, [1, 2, 3])
    (found,) = drawn_precisions(matches_of(evaluation), weights[None], evaluation.params.recThrs)
    copies: dict[str, list[Any]] = {"images": [], "annotations": [], "rows": []}
    for image in document["images"]:
        for _ in range(weights[image["id"] - 1]):
            number = len(copies["images"]) + 1
            copies["images"].append({**image, "id": number})
            for one in document["annotations"]:
                if one["image_id"] == image["id"]:
                    copy = {**one, "image_id": number, "id": len(copies["annotations"]) + 1}
                    copies["annotations"].append(copy)
            copies["rows"] += [{**row, "image_id": number} for row in rows if row["image_id"] == image["id"]]
    drawn = copies.pop("rows")
    own = mean_precision({**document, **copies}, drawn, range(1, 41), [1, 2, 3])
    assert found == pytest.approx([own.ap, own.ap50, own.ap75], abs=1e-12)


def test_intervals_hold_the_value_and_follow_the_seed(annotated: Any, evaluation: Any) -> None:
    document, rows = annotated
    worse = matches_of(matched(document, rows[::2], IDS, [1, 2, 3]))
    models = [matches_of(evaluation), matches_of(evaluation), worse]
    own, differences = intervals(models, 40, RECALLS, 120, 1)
    ap = precision_of(evaluation, document).ap
    assert own[0, 0, 0] < ap < own[0, 0, 1]
    assert (differences[1] == 0).all()  # the same pictures are drawn for both
    assert differences[2, 0, 1] < 0
    assert (intervals(models, 40, RECALLS, 120, 1)[0] == own).all()
    assert (intervals(models, 40, RECALLS, 120, 2)[0] != own).any()


def test_what_is_never_owed_is_undefined(annotated: Any) -> None:
    document, rows = annotated
    evaluation = matched(document, rows, [31, 32], [1, 2])
    own, differences = intervals([matches_of(evaluation)], 2, RECALLS, 10, 1)
    assert np.isnan(own).all()
    assert np.isnan(differences).all()


def test_no_detections(annotated: Any) -> None:
    evaluation = matched(annotated[0], [], IDS, [1, 2, 3])
    assert (drawn_precisions(matches_of(evaluation), np.ones((1, 40), np.int64), RECALLS) == 0).all()
