"""COCO mAP of ssd-demo on generated pictures, by pycocotools.

    python -m ssdconvert.demo.evaluate CHECKPOINT [--count 200] [--seed 1]

The network runs in torch, as `ssdconvert evaluate` runs the original of a build: this is the accuracy written in
recipes/ssd-demo.yaml.
"""

import argparse
import logging
import tempfile
from pathlib import Path

from ssdconvert.accuracy.categories import mapped
from ssdconvert.accuracy.coco_map import MeanPrecision, coco_rows, mean_precision
from ssdconvert.accuracy.data_set import read_data_set
from ssdconvert.accuracy.finders import opened
from ssdconvert.accuracy.subjects import ORIGINAL, ModelFile, Subject
from ssdconvert.catalog import Catalog
from ssdconvert.demo.pictures import write_coco
from ssdconvert.detector import in_threads
from ssdconvert.pictures import read_picture


def evaluate(checkpoint: Path, count: int, seed: int) -> MeanPrecision:
    """Return the mean average precision on `count` pictures of `seed`."""
    recipe = Catalog().find("ssd-demo").recipe
    file = ModelFile.at(checkpoint, recipe.source.files[0].name)
    subject = Subject(ORIGINAL, (file,), recipe, original=True)
    with tempfile.TemporaryDirectory() as folder, opened(subject) as finder:
        write_coco(Path(folder), count, seed)
        data = read_data_set(Path(folder) / "annotations.json")
        found = in_threads(lambda one: finder.find(read_picture(one.path)), data.pictures, finder.threads)
        ids = mapped(recipe.class_names, data.categories).ids
        pairs = zip(data.pictures, found, strict=True)
        rows = [row for picture, detections in pairs for row in coco_rows(picture, detections, ids)]
    return mean_precision(data.document, rows, [picture.id for picture in data.pictures], list(ids.values()))


def main() -> None:
    """Log the COCO mAP of an ssd-demo checkpoint on generated pictures."""
    parser = argparse.ArgumentParser(prog="python -m ssdconvert.demo.evaluate", description=main.__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = evaluate(arguments.checkpoint, arguments.count, arguments.seed)
    for metric, value in (("mAP", found.ap), ("AP50", found.ap50), ("AP75", found.ap75)):
        logging.info(f"{metric} {value:.4f} on {arguments.count} pictures of seed {arguments.seed}")


if __name__ == "__main__":
    main()
