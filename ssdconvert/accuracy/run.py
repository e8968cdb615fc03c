"""Runs models over the pictures of a data set: what is asked for, what it depends on, and the pictures themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ssdconvert.accuracy.data_set import AnnotatedPicture, DataSet
from ssdconvert.accuracy.finders import names_of, opened
from ssdconvert.accuracy.predictions import FORMAT, MODELS, Line, Predictions, line_of
from ssdconvert.accuracy.subjects import Subjects
from ssdconvert.detector import in_threads
from ssdconvert.errors import RecipeError
from ssdconvert.recipe import recipe_digest
from ssdconvert.versions import TOOLS, tool_versions
from ssdconvert.workspace import code_digest

Tell = Callable[[Line], None]


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1: of pictures by their ids every count-th."""

    number: int
    count: int

    @property
    def file(self) -> str:
        """The name of its file, which sorts as the numbers do."""
        return f"shard-{self.number:02}-of-{self.count:02}.jsonl"

    def of(self, pictures: Sequence[AnnotatedPicture]) -> list[AnnotatedPicture]:
        """Return its pictures."""
        return list(pictures[self.number - 1 :: self.count])


def shard_of(text: str) -> Shard:
    """Return what `3/16` says; RecipeError for anything else."""
    first, slash, last = text.partition("/")
    if slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
        return Shard(int(first), int(last))
    raise RecipeError(f"{text!r} is no shard", hint="write --shard 3/16: the third of sixteen", stage="usage")


def header_of(
    subjects: Subjects,
    data: DataSet,
    shard: Shard | None = None,
    warn: Callable[[str], None] = lambda told: None,
) -> dict[str, Any]:
    """Return what predictions depend on: the first line of their file.

    `warn` hears what does not fit the model. Raises RecipeError for a model that does not name its classes.
    """
    deployed = subjects.models[-1]  # the original comes first, and numbers its classes alike
    names = names_of(deployed, warn)
    if not names:
        raise RecipeError(
            f"nothing names the classes of {deployed.path}",
            hint="give --recipe NAME, or --labels FILE",
            stage="evaluate",
        )
    recipe = subjects.recipe
    return {
        "format": FORMAT,
        "name": subjects.name,
        "recipe": {"name": recipe.name, "sha256": recipe_digest(recipe)} if recipe else None,
        "unannotated": recipe.evaluation.unannotated if recipe else "count",
        "names": list(names),
        "data_set": data.digest,
        **program(),
        "shard": [shard.number, shard.count] if shard else None,
        MODELS: {subject.name: subject.to_json() for subject in subjects.models},
    }


def program() -> dict[str, Any]:
    """Return what of the program and its tools predictions depend on: the same on all machines that share the work."""
    return {"tools": tool_versions((*TOOLS, "pycocotools")), "code": code_digest()}


def pictures_wanted(data: DataSet, unannotated: str) -> list[AnnotatedPicture]:
    """Return the pictures that count, by their ids: with `skip` only those that have an annotation."""
    annotated = data.annotated
    return [picture for picture in data.pictures if unannotated == "count" or picture.id in annotated]


def run_here(
    subjects: Subjects,
    pictures: Sequence[AnnotatedPicture],
    predictions: Predictions,
    jobs: int | None = None,
    tell: Tell = lambda line: None,
) -> None:
    """Run each model over the pictures that it has not seen, and add what it finds; `tell` hears of each."""
    for subject in subjects.models:
        left = predictions.missing(subject.name, pictures)
        if left:
            with opened(subject, jobs) as finder:
                for line in in_threads(partial(line_of, subject.name, finder), left, finder.threads):
                    predictions.add(line)
                    tell(line)
