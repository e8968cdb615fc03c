"""Verify: is the IR still the model? Every hop against the original, on pictures.

The original runs in its own engine, on normalised input in its own channel order; the IR runs as a
deployer runs it, on 0..255 in the converted order. Heads are compared as tensors, relative to their
own scale; detections by `ssdconvert.ssd.matching`; the shipped outputs by their contract. What the
original itself detects is judged too: else a recipe with another rule than the model's own would pass.

Whatever fails on the way, a file that does not load or an engine that stops, is a check that tells so:
the others go on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ssdconvert.acceptance_file import write_acceptance
from ssdconvert.candidate import Candidate
from ssdconvert.controls import control_checks, controls_by_detections, mistakes_of
from ssdconvert.errors import SsdconvertError
from ssdconvert.gate_limits import limits_between, limits_of, loose_limits
from ssdconvert.judged_candidate import JudgedCandidate, control_pictures, judge_candidate
from ssdconvert.judgement import detection_checks, limits_of_following
from ssdconvert.nearness import nearness_check
from ssdconvert.originals import Original
from ssdconvert.outputs import output_spec
from ssdconvert.recipe import Recipe
from ssdconvert.references import Reference, References, reference_of
from ssdconvert.report.result import Check, Verification, describe
from ssdconvert.samples import PictureFile, Recorded, Sample
from ssdconvert.traced_hops import traced
from ssdconvert.whole_pictures import WholePictures


def verify(
    recipe: Recipe,
    original: Original,
    candidates: Iterable[Candidate],
    samples: Iterable[Sample | PictureFile],
    required_devices: Sequence[str] = (),
    trace_all: bool = False,
    acceptance: Path | None = None,
) -> Verification:
    """Compare each candidate with the original on each sample.

    A device that is absent is skipped with the reason; MissingDevice is raised for one of
    `required_devices`. The first candidate whose heads are wrong is traced, with `trace_all` every one. What
    the original says is written to the path `acceptance`, for `ssdconvert.acceptance`.
    """
    with TemporaryDirectory(prefix="ssdconvert-") as folder:
        references = References(Path(folder))
        samples = list(samples)  # read one by one: in memory are their names
        checks = list(_look_at_the_original(recipe, original, samples, references))
        if acceptance:
            write_acceptance(acceptance, original, references)
        whole = WholePictures(recipe, original, samples, references, Path(folder) / "whole")
        found = [
            judge_candidate(recipe, original, candidate, references, required_devices, whole)
            for candidate in candidates
        ]
        checks += [check for one in found for check in one.checks]
        checks += _controls(recipe, original, references, found)
        return Verification(
            recipe.name,
            tuple(checks),
            original.runner.runtime,
            references.names,
            references.detections if original.detects else None,
            recipe.is_stand_in,
            tuple({one.input: one for judged in reversed(found) for one in judged.shown}.values()),
            traced(
                recipe,
                [(one.candidate, one.checks) for one in found],
                references,
                trace_all,
                original,
            ),
            (*loose_limits(recipe, checks), *_computed_roughly(found)),
        )


def _computed_roughly(found: Sequence[JudgedCandidate]) -> Iterator[str]:
    """Yield a warning for each candidate that is judged by looser limits than those of its weights."""
    for one in found:
        if (one.candidate.precision, one.candidate.computed_in) == ("FP32", "FP16"):
            yield (
                f"{describe(one.base.candidate)} computes in {one.base.execution_precision}: "
                "judged by the limits of FP16"
            )


def _controls(
    recipe: Recipe, original: Original, references: References, found: Sequence[JudgedCandidate]
) -> Iterator[Check]:
    """Make mistakes on purpose: the gate must see them, and rounded weights must cost less than they do."""
    limits = limits_of(recipe, "INT8" if original.quantised else "FP32")
    loaded = (references[name] for name in control_pictures(references))
    seen = [reference for _, reference in loaded if reference is not None]
    if original.in_order_of_score:
        yield from controls_by_detections(recipe, original, seen, limits)
        return
    mistakes = mistakes_of(recipe, original, [(reference.sample, reference.heads) for reference in seen])
    yield from control_checks(original, mistakes, limits)
    for one in found:
        if one.heads and one.candidate.rounded:
            between = limits_between(recipe, *one.candidate.precisions, original.precision)
            yield nearness_check(one.base, original, between, one.heads, mistakes)


def _look_at_the_original(
    recipe: Recipe, original: Original, samples: Iterable[Sample | PictureFile], references: References
) -> Iterator[Check]:
    """Put what the original says of each sample into `references`, and judge that by the recipe's rule."""
    runner = original.runner
    base = Check(
        "original", "detections", "CPU", runner.runtime, "FP32", "", "", "", None, None, None, "skipped",
        executed_on=runner.executed_on, execution_precision=runner.execution_precision,
    )  # fmt: skip
    for sample in samples:
        here = replace(base, input=sample.name)
        try:
            opened = sample.opened(recipe.input) if isinstance(sample, PictureFile) else sample
        except SsdconvertError as error:
            yield _not_judged(replace(here, hop="input", runtime="", level="contract"), error)
            continue
        try:
            reference = reference_of(recipe, original, opened)
        except SsdconvertError as error:
            references.add(opened, None)
            yield _not_judged(replace(here, level="heads"), error)
            continue
        references.add(opened, reference)
        yield from _checks_of_the_original(here, recipe, original, reference)


def _not_judged(base: Check, error: SsdconvertError) -> Check:
    reason = error.message.removeprefix(f"{base.input} ")
    return replace(base, output=base.input, metric="usable", status="inconclusive", reason=reason)


def _checks_of_the_original(
    base: Check, recipe: Recipe, original: Original, reference: Reference
) -> Iterator[Check]:
    """Hold what the original detects, and what its publisher recorded, against its heads and the rule."""
    sample = reference.sample
    if reference.own is not None:
        follows = limits_of_following(recipe, "FP32", original.precision)
        yield from detection_checks(base, recipe, reference, reference.own, follows)
    if isinstance(sample, Recorded) and original.own is not None:
        recorded = original.own.read(sample.outputs, output_spec(recipe))
        base = replace(base, hop="recorded", runtime="as published", executed_on="", execution_precision="")
        limits = limits_of(recipe, "INT8" if original.quantised else original.precision)
        yield from detection_checks(base, recipe, reference, recorded, limits)
