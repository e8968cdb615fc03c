"""Which hops of a verification are traced, on which input, and by what limit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ssdconvert.candidates import Candidate
from ssdconvert.errors import SsdconvertError
from ssdconvert.gate_limits import limits_of
from ssdconvert.recipe import Recipe
from ssdconvert.report.result import Check, HopTrace
from ssdconvert.samples import Sample
from ssdconvert.trace import trace

Judged = tuple[Candidate, Sequence[Check]]


def traced(
    recipe: Recipe, judged: Sequence[Judged], samples: Sequence[Sample], everything: bool
) -> tuple[HopTrace, ...]:
    """Return the trace of the first candidate whose heads failed, or with `everything` of each on the way.

    A failed candidate is traced on the first sample that it failed on, others on the first of all.
    """
    return tuple(_traces(recipe, judged, {sample.name: sample for sample in samples}, everything))


def _traces(
    recipe: Recipe, judged: Sequence[Judged], samples: dict[str, Sample], everything: bool
) -> Iterator[HopTrace]:
    for candidate, checks in judged:
        failed = [check.input for check in checks if (check.level, check.status) == ("heads", "fail")]
        if (everything and candidate.hop in ("onnx", "simplified", "ir")) or failed:
            yield _trace(recipe, candidate, samples[failed[0]] if failed else next(iter(samples.values())))
        if failed and not everything:
            return


def _trace(recipe: Recipe, candidate: Candidate, sample: Sample) -> HopTrace:
    """Trace one candidate. What goes wrong here is told in the trace: the verdict stands without it."""
    limits = limits_of(recipe, candidate.precision)
    base = HopTrace(
        candidate.hop, candidate.precision, candidate.device, sample.name, limits.heads,
        summed=limits.share is not None,
    )  # fmt: skip
    if candidate.inner is None:
        return replace(base, reason="the file that it was made from shares no names with it")
    first, second = candidate.inner
    prepared = (sample.for_original if candidate.normalised else sample.for_converted)(recipe.input)
    feeds = {recipe.input.name: sample.for_original(recipe.input)}, {recipe.input.name: prepared}
    try:
        return replace(base, trace=trace(first, second, *feeds))
    except SsdconvertError as error:
        return replace(base, reason=error.message)
