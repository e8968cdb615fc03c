"""Labels find their categories by name, and what has no counterpart is told."""

import pytest

from ssdconvert.accuracy.categories import mapped
from ssdconvert.errors import RecipeError
from ssdconvert.labels import COCO_80, COCO_91, COCO_CATEGORY_IDS, VOC_20

COCO = dict(zip(COCO_CATEGORY_IDS, COCO_80, strict=True))


def test_coco_80_finds_the_90_ids() -> None:
    ids = mapped(COCO_80, COCO).ids
    assert [ids[1], ids[12], ids[80]] == [1, 13, 90]
    assert list(ids.values()) == list(COCO_CATEGORY_IDS)
    assert mapped(COCO_91, COCO).ids == {number: number for number in COCO_CATEGORY_IDS}


def test_voc_is_found_in_coco_and_the_other_way_round() -> None:
    ids = mapped(VOC_20, COCO, allow_unmapped=True).ids
    assert {VOC_20[label - 1]: COCO[number] for label, number in ids.items()} == {
        **{name: name for name in VOC_20},
        "aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
        "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv",
    }  # fmt: skip


def test_spelling_is_passed_over() -> None:
    assert mapped(["Red disc", "TV-Monitor"], {5: "tv", 9: "red_disc"}).ids == {1: 9, 2: 5}


def test_what_does_not_map_is_listed_or_left_out() -> None:
    with pytest.raises(RecipeError, match=r"1 of 2 .*without a category: bat; without a label: dog") as told:
        mapped(["cat", "bat"], {1: "cat", 2: "dog"})
    assert "--allow-unmapped" in told.value.hint
    found = mapped(["bat", "cat"], {1: "cat", 2: "dog"}, allow_unmapped=True)
    assert (found.ids, found.labels, found.categories) == ({2: 1}, ("bat",), ("dog",))


def test_nothing_maps() -> None:
    with pytest.raises(RecipeError, match="0 of 1") as told:
        mapped(["face"], {1: "cat"}, allow_unmapped=True)
    assert "--allow-unmapped" not in told.value.hint


def test_one_class_twice() -> None:
    with pytest.raises(RecipeError, match="two categories are the same class: 'tv' and 'tvmonitor'"):
        mapped(["tv"], {1: "tv", 2: "tvmonitor"})
    with pytest.raises(RecipeError, match="two labels"):
        mapped(["cat", "Cat"], {1: "cat"})
