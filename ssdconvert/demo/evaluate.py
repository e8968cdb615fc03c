"""COCO mAP of ssd-demo on generated pictures, by pycocotools.

    python -m ssdconvert.demo.evaluate CHECKPOINT [--count 200] [--seed 1]

The network runs in torch, its detections by `ssdconvert.ssd.detections` with the recipe's rule: this
is the accuracy of the original, written in recipes/ssd-demo.yaml. Needs the extra `test`.
"""

import argparse
import contextlib
import io
import logging
import tempfile
from pathlib import Path
from typing import Any

from ssdconvert.catalog import Catalog
from ssdconvert.demo.pictures import generate, write_coco
from ssdconvert.ssd.detections import detections_of
from ssdconvert.ssd.preprocess import original_input
from ssdconvert.stages.load import load


def evaluate(checkpoint: Path, count: int, seed: int) -> dict[str, float]:
    """Return `mAP` (COCO, IoU 0.50 to 0.95), `AP50` and `AP75` on `count` pictures of `seed`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    recipe = Catalog().find("ssd-demo").recipe
    original = load(recipe, {recipe.source.files[0].name: checkpoint})
    results: list[dict[str, Any]] = []
    for number in range(count):
        picture = generate([seed, number])
        heads = original.run(original_input(picture.pixels, recipe.input), recipe.input.name)
        found = detections_of(*original.heads.decoded(heads), recipe.detections)
        height, width = picture.pixels.shape[:2]
        for box, label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True):
            x, y, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
            results.append(
                {
                    "image_id": number + 1,
                    "category_id": int(label),
                    "bbox": [x, y, right - x, bottom - y],
                    "score": float(score),
                }
            )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        write_coco(Path(folder), count, seed)
        truth = COCO(Path(folder) / "annotations.json")
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("mAP", "AP50", "AP75"), evaluation.stats.tolist(), strict=False))


def main() -> None:
    """Log the COCO mAP of an ssd-demo checkpoint on generated pictures."""
    parser = argparse.ArgumentParser(prog="python -m ssdconvert.demo.evaluate", description=main.__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    accuracy = evaluate(arguments.checkpoint, arguments.count, arguments.seed)
    for metric, value in accuracy.items():
        logging.info(f"{metric} {value:.4f} on {arguments.count} pictures of seed {arguments.seed}")


if __name__ == "__main__":
    main()
