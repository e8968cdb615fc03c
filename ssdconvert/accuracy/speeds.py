"""How fast the evaluated models are, beside how accurate they are: for a report of several precisions."""

from collections.abc import Mapping

from ssdconvert.accuracy.data_set import AnnotatedPicture
from ssdconvert.accuracy.subjects import Subjects
from ssdconvert.errors import RecipeError
from ssdconvert.pictures import read_picture
from ssdconvert.speed.comparison import compare
from ssdconvert.speed.openvino_engine import openvino_contender
from ssdconvert.speed.result import Comparison
from ssdconvert.speed.tables import ratio_text


def refuse_one_alone(subjects: Subjects) -> None:
    """Raise RecipeError where there are no two models in OpenVINO whose speeds could be compared."""
    if sum(not subject.original for subject in subjects.models) < 2:
        raise RecipeError(
            "--speed compares precisions of a build, and there are no two",
            hint="`ssdconvert bench` measures one model, beside other engines",
            stage="usage",
        )


def speeds_of(subjects: Subjects, picture: AnnotatedPicture) -> Comparison:
    """Measure the latency of what is deployed, one picture at a time, in turn; see `ssdconvert.speed`."""
    pixels = read_picture(picture.path)
    return compare(
        [
            openvino_contender(one.name, one.path, one.name, pixels, one.recipe, one.machine)
            for one in subjects.models
            if not one.original
        ]
    )


def speed_words(comparison: Comparison) -> Mapping[str, str]:
    """Return the latency of each model, and how many times as fast it is as the first one, with its interval."""
    first, words = comparison.rows[0].name, {}
    for row in comparison.rows:
        ratio = "" if row.name == first else f", {ratio_text(row.ratio_to(first))} times as fast as {first}"
        words[row.name] = f"{row.latency.median:.2f} ms{ratio}"
    return words
