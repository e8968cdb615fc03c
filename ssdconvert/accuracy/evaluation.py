"""The result of an evaluation: how accurate each model is, how far that may be off, and how far from the original."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdconvert.accuracy.bootstrap import CONFIDENCE, METRICS, intervals, matches_of
from ssdconvert.accuracy.categories import Mapped, mapped
from ssdconvert.accuracy.coco_map import METRIC, MeanPrecision, as_results, matched, precision_of
from ssdconvert.accuracy.data_set import AnnotatedPicture, DataSet
from ssdconvert.accuracy.predictions import MODELS, Predictions
from ssdconvert.accuracy.run import pictures_wanted
from ssdconvert.errors import RecipeError

Intervals = Mapping[str, tuple[float, float] | None]


@dataclass(frozen=True)
class Difference:
    """AP of a model less that of the original, as fractions, and the interval of each."""

    values: Mapping[str, float | None]
    intervals: Intervals


@dataclass(frozen=True)
class Evaluated:
    """One model: what it is, as the header of the predictions says, its accuracy, and `results` in COCO's form."""

    name: str
    entry: Mapping[str, Any]
    accuracy: MeanPrecision
    intervals: Intervals
    difference: Difference | None
    results: list[dict[str, Any]]

    def to_json(self, engine: str) -> dict[str, Any]:
        """Return the entry of evaluation.json; `engine` has its version."""
        told = None
        if self.difference:
            told = {
                metric: {"value": value, "interval": self.difference.intervals[metric]}
                for metric, value in self.difference.values.items()
            }
        return {
            "name": self.name,
            **{key: self.entry[key] for key in ("original", "device", "settings", "files", "bytes")},
            "engine": engine,
            "detections": len(self.results),
            "accuracy": self.accuracy.to_json(),
            "intervals": dict(self.intervals),
            "difference": told,
        }


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: `header` is that of the predictions, `draws` and `seed` those of the bootstrap.

    `pictures` were evaluated; `broken` are names and reasons of those that cannot be read, `resized` names, sizes
    in the annotations and in the files (width, height) where they differ.
    """

    header: Mapping[str, Any]
    data: DataSet
    mapped: Mapped
    pictures: tuple[AnnotatedPicture, ...]
    broken: tuple[tuple[str, str], ...]
    resized: tuple[tuple[str, tuple[int, int], tuple[int, int]], ...]
    models: tuple[Evaluated, ...]
    draws: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return evaluation.json: the same bytes for the same models and pictures, wherever they were run."""
        data, tools = self.data, self.header["tools"]
        names = data.categories
        return {
            "schema": 1,
            "name": self.header["name"],
            "metric": METRIC,
            "recipe": self.header["recipe"],
            "models": [
                one.to_json(f"{one.entry['engine']} {tools.get(one.entry['engine'], '')}".strip())
                for one in self.models
            ],
            "pictures": {
                "evaluated": len(self.pictures),
                "annotated": len(data.document["images"]),
                "without_annotations": len(data.document["images"]) - len(data.annotated),
                "unannotated": self.header["unannotated"],
                "missing": list(data.missing),
                "broken": [{"picture": name, "problem": why} for name, why in self.broken],
                "resized": [
                    {"picture": name, "annotated": list(one), "read": list(other)}
                    for name, one, other in self.resized
                ],
            },
            "categories": {
                "evaluated": [names[number] for number in sorted(self.mapped.ids.values())],
                "without_a_label": list(self.mapped.categories),
                "labels_without_a_category": list(self.mapped.labels),
            },
            "bootstrap": {"draws": self.draws, "seed": self.seed, "confidence": CONFIDENCE},
            "data_set": data.digest,
            "tools": tools,
        }


def evaluation_of(
    predictions: Predictions,
    models: Sequence[str],
    data: DataSet,
    categories: Mapped,
    draws: int = 1000,
    seed: int = 1,
) -> Evaluation:
    """Return how accurate the models of these names are, by what they found, and how far from the original.

    Pictures that one of them could not read are left out for all. Raises RecipeError where none is left.
    """
    wanted = pictures_wanted(data, predictions.header["unannotated"])
    broken = {
        number: predictions.lines[name, number].document["problem"]
        for name in models
        for number in (picture.id for picture in wanted)
        if predictions.lines[name, number].broken
    }
    pictures = tuple(picture for picture in wanted if picture.id not in broken)
    if not pictures:
        raise RecipeError(
            f"none of {len(wanted)} pictures can be read: {next(iter(broken.values()), 'none has an annotation')}",
            hint="give --images the folder of whole pictures",
            stage="evaluate",
        )
    results, resized = _results(predictions, models, pictures, categories)
    ids, chosen = [picture.id for picture in pictures], list(categories.ids.values())
    found = [matched(data.document, results[name], ids, chosen) for name in models]
    accuracies = [precision_of(one, data.document) for one in found]
    entries = predictions.header[MODELS]
    order = sorted(range(len(models)), key=lambda index: not entries[models[index]]["original"])
    ranges = _intervals([found[index] for index in order], len(pictures), draws, seed)
    evaluated = []
    for place, index in enumerate(order):
        name = models[index]
        against = accuracies[order[0]] if entries[models[order[0]]]["original"] and place else None
        difference = (
            None if against is None else Difference(_less(accuracies[index], against), ranges[1][place])
        )
        evaluated.append(
            Evaluated(name, entries[name], accuracies[index], ranges[0][place], difference, results[name])
        )
    return Evaluation(
        predictions.header, data, categories, pictures,
        tuple((picture.name, broken[picture.id]) for picture in wanted if picture.id in broken),
        resized, tuple(evaluated), draws, seed,
    )  # fmt: skip


def categories_of(header: Mapping[str, Any], data: DataSet, allow_unmapped: bool) -> Mapped:
    """Return the categories of the labels that the header of predictions names; RecipeError as `mapped`."""
    return mapped(header["names"], data.categories, allow_unmapped)


def _results(
    predictions: Predictions, models: Sequence[str], pictures: Sequence[AnnotatedPicture], categories: Mapped
) -> tuple[dict[str, list[dict[str, Any]]], tuple[Any, ...]]:
    """Return each model's detections in COCO's form, by the ids of pictures, and the pictures of another size."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    resized = {}
    for name in models:
        for picture in pictures:
            document = predictions.lines[name, picture.id].document
            results[name] += as_results(picture.id, document["rows"], categories.ids)
            if "size" in document:
                size = (picture.width, picture.height)
                resized[picture.id] = (picture.name, size, tuple(document["size"]))
    return results, tuple(resized[number] for number in sorted(resized))


def _less(one: MeanPrecision, other: MeanPrecision) -> dict[str, float | None]:
    pairs = {metric: (getattr(one, metric), getattr(other, metric)) for metric in METRICS}
    return {metric: None if None in pair else pair[0] - pair[1] for metric, pair in pairs.items()}


def _intervals(
    found: Sequence[Any], pictures: int, draws: int, seed: int
) -> tuple[list[Intervals], list[Intervals]]:
    """Return the intervals of each model, and of its difference to the first, by metric."""
    if not draws:
        nothing: Intervals = dict.fromkeys(METRICS)
        return [nothing] * len(found), [nothing] * len(found)
    matches = [matches_of(one) for one in found]
    own, differences = intervals(matches, pictures, np.array(found[0].params.recThrs), draws, seed)
    return [_by_metric(one) for one in own], [_by_metric(one) for one in differences]


def _by_metric(ends: Any) -> Intervals:
    return {
        metric: None if np.isnan(pair).any() else (float(pair[0]), float(pair[1]))
        for metric, pair in zip(METRICS, ends, strict=True)
    }
