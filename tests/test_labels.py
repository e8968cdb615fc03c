import pytest

from ssdconvert.errors import RecipeError
from ssdconvert.labels import COCO_80, COCO_91, COCO_CATEGORY_IDS, VOC_20, label_names


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


def test_coco_91_has_a_name_for_each_id_and_none_for_the_unused() -> None:
    assert len(COCO_91) == 90
    assert [COCO_91[i - 1] for i in (1, 13, 84, 90)] == ["person", "stop sign", "book", "toothbrush"]
    unused = [i for i, name in enumerate(COCO_91, start=1) if name == "N/A"]
    assert unused == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert tuple(name for name in COCO_91 if name != "N/A") == COCO_80
    assert label_names("coco-91") == COCO_91


def test_label_names() -> None:
    assert label_names("voc-20") == VOC_20
    assert label_names(["face"]) == ("face",)
    with pytest.raises(
        RecipeError, match="unknown label list 'coco': expected one of coco-80, coco-91, voc-20"
    ):
        label_names("coco")
