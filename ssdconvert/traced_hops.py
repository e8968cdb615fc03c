"""Which hops of a verification are traced, on which input, and by what limit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ssdconvert.candidate import Candidate
from ssdconvert.errors import SsdconvertError
from ssdconvert.gate_limits import limits_between
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe
from ssdconvert.references import References
from ssdconvert.report.result import SHIPPED, Check, HopTrace
from ssdconvert.samples import Sample
from ssdconvert.trace import trace

TRACED = ("onnx", "simplified", *SHIPPED)

Judged = tuple[Candidate, Sequence[Check]]


def traced(
    recipe: Recipe,
    judged: Sequence[Judged],
    references: References,
    everything: bool,
    original: Original,
) -> tuple[HopTrace, ...]:
    """Return the trace of the first candidate whose heads failed, or with `everything` of each on the way.

    A failed candidate is traced on the first sample that it failed on, others on the first of all.
    What candidates were made from takes what the `original` takes.
    """
    return tuple(_traces(recipe, judged, references, everything, original))


def _traces(
    recipe: Recipe, judged: Sequence[Judged], references: References, everything: bool, original: Original
) -> Iterator[HopTrace]:
    for candidate, checks in judged:
        failed = [check.input for check in checks if (check.level, check.status) == ("heads", "fail")]
        if (everything and candidate.hop in TRACED and len(references)) or failed:
            # those that are resized inside are no inputs of the original
            known = [name for name in failed if name in references.names]
            sample, _ = references[(known or references.names)[0]]
            yield _trace(recipe, candidate, sample, original)
        if failed and not everything:
            return


def _trace(recipe: Recipe, candidate: Candidate, sample: Sample, original: Original) -> HopTrace:
    """Trace one candidate. What goes wrong here is told in the trace: the verdict stands without it."""
    limits = limits_between(recipe, *candidate.precisions, original.precision)
    base = HopTrace(
        candidate.hop, candidate.precision, candidate.device, sample.name, limits.heads,
        summed=limits.share is not None,
    )  # fmt: skip
    if candidate.toolchain:
        return replace(base, reason=f"tensors are not compared within the toolchain {candidate.toolchain}")
    if candidate.inner is None:
        return replace(base, reason="it shares no names of tensors with what it was made from")
    first, second = candidate.inner
    before = (sample.for_converted if original.takes_pixels else sample.for_original)(recipe.input)
    feeds = {recipe.input.name: before}, {recipe.input.name: candidate.fed(sample, recipe.input)}
    try:
        return replace(base, trace=trace(first, second, *feeds))
    except SsdconvertError as error:
        return replace(base, reason=error.message)
