"""Annotations, what a model finds of them, and small sets of pictures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssdconvert.accuracy.data_set import DataSet, read_data_set

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def annotated() -> tuple[dict[str, Any], Rows]:
    """Annotations of 40 pictures and three categories, of which the last has none, and what a model finds."""
    random = np.random.default_rng(3)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 200, "height": 150} for n in range(1, 41)]
    annotations: Rows = []
    rows: Rows = []
    for image in images[:30]:
        for _ in range(int(random.integers(1, 5))):
            category, box = int(random.integers(1, 3)), random.uniform(2, 120, 4)
            number = len(annotations) + 1
            annotations.append(
                {
                    "id": number, "image_id": image["id"], "category_id": category, "bbox": box.tolist(),
                    "area": float(box[2] * box[3]), "iscrowd": int(number % 9 == 0),
                }
            )  # fmt: skip
            found = (box + random.normal(0, 4, 4)).clip(1).tolist()
            score = round(float(random.random()), 2)  # some are equal
            rows.append({"image_id": image["id"], "category_id": category, "bbox": found, "score": score})
    for image in images[20:]:
        found = random.uniform(1, 60, 4).tolist()
        rows.append({"image_id": image["id"], "category_id": 3, "bbox": found, "score": 0.5})
        rows.append({"image_id": image["id"], "category_id": 1, "bbox": found, "score": 0.7})
    categories = [{"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (3, "cow"))]
    return {"images": images, "annotations": annotations, "categories": categories}, rows


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Write so many pictures of one grey each, and their annotations; every third picture has none."""

    def write(count: int = 9, name: str = "set") -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        images, annotations = [], []
        for number in range(1, count + 1):
            grey = np.full((20, 30, 3), 20 * number, np.uint8)
            Image.fromarray(grey).save(folder / "images" / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "width": 30, "height": 20})
            if number % 3:
                box = [3 * (number % 2), 0, 24, 20]
                annotations.append({"id": number, "image_id": number, "category_id": 7, "bbox": box})
        document = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cat"}]}
        (folder / "annotations.json").write_text(json.dumps(document))
        return folder / "annotations.json"

    return write


@pytest.fixture
def data(pictures: Callable[..., Path]) -> DataSet:
    """Nine such pictures."""
    return read_data_set(pictures())


@pytest.fixture
def grey_model(model_giving: Callable[..., Path]) -> Path:
    """A model that finds three boxes of its first class, 0, in any picture; scores are the means of its channels."""
    boxes = np.array([[[0, 0, 0.8, 1], [0.1, 0, 0.9, 1], [0, 0, 0.1, 0.1]]], np.float32)
    return model_giving({"bboxes": boxes, "labels": np.zeros((1, 3), np.int64)}, means="scores")
