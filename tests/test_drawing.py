"""Captions on pictures: whole, and beside each other. What `detect` draws is tested in stages/test_detect.py."""

import numpy as np
import pytest

from ssdconvert.drawing import Mark, drawn

RED, GREEN = (255, 0, 0), (0, 255, 0)


def area(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def test_captions_of_one_box_do_not_hide_each_other() -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    box = (40.0, 60.0, 160.0, 150.0)
    both = np.asarray(drawn(pixels, [Mark(box, RED, "one"), Mark(box, GREEN, "one")]))
    assert area(both, GREEN) > 150  # of the lower box only its caption is seen


@pytest.mark.parametrize("box", [(0, 0, 299, 199), (290, 190, 299, 199), (-5, -5, 2, 2), (250, 0, 299, 20)])
def test_captions_stay_inside_the_picture(box: tuple[float, ...]) -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    wide = np.asarray(
        drawn(np.full((400, 600, 3), 90, np.uint8), [Mark((200, 200, 280, 280), RED, "a caption")])
    )
    without = np.asarray(drawn(np.full((400, 600, 3), 90, np.uint8), [Mark((200, 200, 280, 280), RED)]))
    assert area(wide, RED) > area(without, RED)
    picture = np.asarray(drawn(pixels, [Mark(box, RED, "cap")]))
    bare = np.asarray(drawn(pixels, [Mark(box, RED)]))
    assert area(picture, RED) > area(bare, RED) + 50 or box[2] - box[0] > 200


def test_faint_marks_lie_below_and_have_no_caption() -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    box = (40, 60, 160, 150)
    faint = np.asarray(drawn(pixels, [Mark(box, RED, "unseen", faint=True)]))
    assert area(faint, RED) == 2 * (121 + 91) - 4
    covered = np.asarray(drawn(pixels, [Mark(box, RED, faint=True), Mark(box, GREEN)]))
    assert area(covered, RED) == 0


def test_corners_in_the_wrong_order_are_drawn() -> None:
    pixels = np.full((200, 300, 3), 90, np.uint8)
    right, wrong = Mark((40, 60, 160, 150), RED, "x"), Mark((160, 150, 40, 60), RED)
    assert area(np.asarray(drawn(pixels, [wrong])), RED) > 0
    assert area(np.asarray(drawn(pixels, [right])), RED) > 0
