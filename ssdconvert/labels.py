"""The label lists that recipes can name: without the background (label 0), label 1 first."""

from collections.abc import Sequence

from ssdconvert.errors import RecipeError

COCO_80 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

# COCO_CATEGORY_IDS[label - 1] is the `category_id` of that label in COCO's annotations; some ids are unused.
COCO_CATEGORY_IDS = tuple(i for i in range(1, 91) if i not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

# Labels are COCO's category ids here, as torchvision numbers them: 90 names, those of unused ids "N/A".
COCO_91 = tuple(dict(zip(COCO_CATEGORY_IDS, COCO_80, strict=True)).get(i, "N/A") for i in range(1, 91))

VOC_20 = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

LABEL_LISTS = {"coco-80": COCO_80, "coco-91": COCO_91, "voc-20": VOC_20}


def label_names(reference: str | Sequence[str]) -> tuple[str, ...]:
    """Return the class names, without the background, of a shipped list's name or of an inline list."""
    if not isinstance(reference, str):
        return tuple(reference)
    if reference not in LABEL_LISTS:
        raise RecipeError(
            f"unknown label list {reference!r}: expected one of {', '.join(LABEL_LISTS)}",
            hint="write the class names as a list, without the background: [face]",
        )
    return LABEL_LISTS[reference]
