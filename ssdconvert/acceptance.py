"""Acceptance: is a build on this machine's devices still the model? Without the original, by what it said.

A build records what its original said of a few pictures, see `ssdconvert.acceptance_file`. Each IR is held against
that by the limits, and by the code, of the gate. What does not depend on the machine is not repeated: mistakes made on
purpose, and files on the way to the IR. Of an IR that resizes pictures itself, what follows the resize is judged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ssdconvert.acceptance_file import read_acceptance
from ssdconvert.build_plan import Plan
from ssdconvert.candidate import Candidate
from ssdconvert.candidates import ir_candidate
from ssdconvert.device_config import told_of
from ssdconvert.devices import Machine
from ssdconvert.errors import ConversionError
from ssdconvert.judged_candidate import judge_candidate
from ssdconvert.originals import Original
from ssdconvert.recipe import Recipe, load_resolved_recipe
from ssdconvert.references import References
from ssdconvert.release.claims import Manifest, claims_in
from ssdconvert.release.names import ACCEPTANCE, MANIFEST, RECIPE
from ssdconvert.report.result import Verification
from ssdconvert.workspace import ir_files


def accept(
    folder: Path, machines: Sequence[Machine] = (Machine(),), required_devices: Sequence[str] = ()
) -> Verification:
    """Return every check of a build's IRs on devices of this machine, against what the original said.

    `folder` is a build, or an archive unpacked; its files are taken as they are. A device that is absent is
    skipped with the reason; MissingDevice is raised for one of `required_devices`. Raises ConversionError, or
    RecipeError, where a file that tells what to compare is missing or damaged.
    """
    manifest = _manifest(folder)
    recipe = load_resolved_recipe(folder / RECIPE)
    original, recorded = read_acceptance(folder / ACCEPTANCE, recipe)
    with TemporaryDirectory(prefix="ssdconvert-") as temporary:
        references = References(Path(temporary))
        for reference in recorded:
            references.add(reference.sample, reference)
        found = [
            judge_candidate(recipe, original, candidate, references, required_devices, None)
            for candidate in _candidates(recipe, manifest, original, folder, machines)
        ]
        return replace(
            Verification(
                recipe.name,
                tuple(check for one in found for check in one.checks),
                original.runner.runtime,
                references.names,
                references.detections,
                recipe.is_stand_in,
            ),
            **told_of(machines),
        )


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return claims_in(path.read_bytes(), Manifest)
    except (OSError, ValueError) as error:
        raise ConversionError(
            f"{path.name} cannot be read: {error}",
            hint="give the folder of a build, or an archive",
            stage="verify",
        ) from error


def _candidates(
    recipe: Recipe, manifest: Manifest, original: Original, folder: Path, machines: Sequence[Machine]
) -> Iterator[Candidate]:
    """Yield each IR that the manifest names, on each device."""
    paths = {entry.path: entry.precision for entry in manifest.artifacts}
    irs = {p: path for path, p in paths.items() if p and path == ir_files(recipe.name, p)[0]}
    plan = Plan(recipe, tuple(irs), manifest.tail or "nms", bake=manifest.stages.convert.bake)
    for precision, path in irs.items():
        for machine in machines:
            candidate = ir_candidate(plan, original, precision, folder, path, machine, None)
            yield (
                candidate
                if manifest.of_this_version
                else replace(candidate, promises=partial(_but_the_description, candidate.promises))
            )


def _but_the_description(
    promises: Callable[[], Mapping[str, Sequence[str]]] | None,
) -> Mapping[str, Sequence[str]]:
    """Return the promises of an IR that another version of ssdconvert described, in more words or fewer."""
    kept = promises() if promises else {}
    return {promise: broken for promise, broken in kept.items() if promise != "description"}
