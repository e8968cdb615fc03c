import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.labels import COCO_80, COCO_CATEGORY_IDS, VOC_20, label_names


def test_shipped_lists_have_the_places_that_the_facts_give() -> None:
    assert (len(set(COCO_80)), len(set(VOC_20))) == (80, 20)
    assert [COCO_80[label - 1] for label in (1, 10, 27, 63, 80)] == [
        "person",
        "traffic light",
        "handbag",
        "tv",
        "toothbrush",
    ]
    assert [VOC_20[label - 1] for label in (1, 7, 20)] == ["aeroplane", "car", "tvmonitor"]


def test_coco_category_ids_skip_the_unused() -> None:
    assert len(COCO_CATEGORY_IDS) == 80
    of_name = dict(zip(COCO_80, COCO_CATEGORY_IDS, strict=True))
    expected = {
        "person": 1,
        "stop sign": 13,
        "backpack": 27,
        "handbag": 31,
        "wine glass": 46,
        "dining table": 67,
    }
    assert {name: of_name[name] for name in expected} == expected
    assert (of_name["toilet"], of_name["tv"], of_name["book"], of_name["toothbrush"]) == (70, 72, 84, 90)


def test_label_names() -> None:
    assert label_names("voc-20") == VOC_20
    assert label_names(["face"]) == ("face",)
    with pytest.raises(RecipeError, match="unknown label list 'coco': expected one of coco-80, voc-20"):
        label_names("coco")
