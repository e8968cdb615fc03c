"""What is owed to a verdict: a check that cannot be made is told, and leaves the verdict open where it must."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ssdconvert.candidate import Candidate
from ssdconvert.originals import Original
from ssdconvert.report.result import SHIPPED, Check


def checks_owed(
    base: Check, original: Original, candidate: Candidate, made: Sequence[Check], detected: int
) -> Iterator[Check]:
    """Yield a check for each kind of evidence that is missing among those `made` of a candidate.

    `detected` objects are on all pictures together. `skipped` where other evidence stands for it.
    """
    for told in candidate.not_compared:
        reason = "there is nothing to hold it against"
        yield replace(base, output=told, metric="compared", status="inconclusive", reason=reason)
    if candidate.is_reference or candidate.hop not in SHIPPED or any(c.status == "fail" for c in made):
        return
    yield from _heads_owed(replace(base, level="heads", output="heads"), original, candidate)
    rounded = any(check.metric == "rounding" for check in made)
    found = [check for check in made if check.level == "detections" and not check.output]
    matched = sum(check.statistics.get("matched", 0) for check in found)
    if candidate.form is not None and detected and not matched and not rounded:
        reason = "the original detects nothing on the pictures that it is judged on"
        detections = replace(base, level="detections", output="detections", metric="compared")
        yield replace(detections, status="inconclusive", reason=reason)


def _heads_owed(base: Check, original: Original, candidate: Candidate) -> Iterator[Check]:
    if original.in_order_of_score:
        reason = "they come in order of score: judged by detections alone"
        yield replace(base, metric="compared", status="skipped", reason=reason)
    elif not candidate.tensors and candidate.precision == "FP32":
        yield replace(base, metric="found", status="skipped", reason="none: judged by detections alone")
    elif not candidate.tensors:
        reason = "none: judged by detections alone, where rounded weights hide small mistakes"
        yield replace(base, metric="found", status="inconclusive", reason=reason)
