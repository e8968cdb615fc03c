"""Puts the predictions of shards together, each made by a process of its own, wherever that was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssdconvert.accuracy.data_set import DataSet, listed
from ssdconvert.accuracy.predictions import MODELS, Key, Line, Predictions, read_predictions
from ssdconvert.accuracy.run import Shard, pictures_wanted
from ssdconvert.errors import RecipeError

WORDS = {
    "data_set": "the annotations, or the files of the pictures", "code": "ssdconvert itself",
    "tools": "versions of tools", "models": "the models", "recipe": "the recipe", "name": "what is evaluated",
}  # fmt: skip


def merged(paths: Sequence[Path], data: DataSet) -> Predictions:
    """Return the predictions of all shards of one evaluation, as one run would have made them.

    Raises RecipeError, which names them, for shards that are missing, there twice, not whole, or of another evaluation.
    """
    shards: dict[int, Path] = {}
    lines: dict[Key, Line] = {}
    first: Mapping[str, Any] = {}
    for path in paths:
        found = read_predictions(path)
        if not found.header.get("shard"):
            raise _wrong(f"{path} is no shard: it is the file of a whole evaluation", "give files of --shard")
        number, count = found.header["shard"]
        first = first or found.header
        _refuse_foreign(path, found.header, paths[0], first)
        if number in shards:
            raise _wrong(
                f"shard {number} of {count} is there twice: {shards[number]} and {path}", "leave one out"
            )
        shards[number] = path
        lines |= found.lines
    count = first["shard"][1]
    absent = [number for number in range(1, count + 1) if number not in shards]
    if absent:
        raise _wrong(
            f"{len(absent)} of {count} shards are not given: {listed(absent, 20)}",
            "run `ssdconvert evaluate` with --shard for these, and give their files too",
        )
    if first["data_set"] != data.digest:
        raise _wrong(
            "the shards were made of other annotations or pictures than those that are given",
            "give the --images and --annotations that the shards were made of",
        )
    _refuse_unfinished(first, lines, data, shards)
    return Predictions({**first, "shard": None}, lines)


def _refuse_foreign(path: Path, header: Mapping[str, Any], first: Path, expected: Mapping[str, Any]) -> None:
    other = [key for key in expected if key != "shard" and header.get(key) != expected[key]]
    if header["shard"][1] != expected["shard"][1]:
        raise _wrong(
            f"{path} is one of {header['shard'][1]} shards, {first} one of {expected['shard'][1]}",
            "give the shards of one division",
        )
    if other:
        told = ", ".join(WORDS.get(key, key) for key in other)
        raise _wrong(
            f"{path} is of another evaluation than {first}: {told} differ",
            "run that shard again as the others were, into a new folder",
        )


def _refuse_unfinished(
    header: Mapping[str, Any], lines: Mapping[Key, Line], data: DataSet, shards: Mapping[int, Path]
) -> None:
    """Raise RecipeError for shards that lack pictures: they were killed, or still run."""
    pictures = pictures_wanted(data, header["unannotated"])
    short = []
    for number, path in sorted(shards.items()):
        own = Shard(number, len(shards)).of(pictures)
        left = sum((model, picture.id) not in lines for model in header[MODELS] for picture in own)
        short += [f"{path} ({left} of {len(own) * len(header[MODELS])} are missing)"] if left else []
    if short:
        raise _wrong(
            f"{len(short)} shards are not whole: {listed(short)}",
            "run these again: they go on where they ended",
        )


def _wrong(message: str, hint: str) -> RecipeError:
    return RecipeError(message, hint=hint, stage="merge")
