"""Whether a build is what its documents say, and whether these say the same.

Checksums, manifest, provenance, bill of materials, recipe, report and what each IR says of itself are read apart from
each other, so that a change of one of them is seen by the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import Recipe, load_resolved_recipe, recipe_digest
from ssdconvert.release.checksums import DamagedSums, parsed_sums
from ssdconvert.release.claims import Bill, Claim, Manifest, Provenance, Report, claims_in
from ssdconvert.release.comparisons import (
    differences,
    expected_of_bill,
    expected_of_provenance,
    expected_of_report,
    told_by_bill,
    told_by_provenance,
    told_by_report,
)
from ssdconvert.release.ir_claims import disagreements_of_irs
from ssdconvert.release.names import (
    BILL,
    DOCUMENTS,
    LABELS,
    MANIFEST,
    PROVENANCE,
    RECIPE,
    REPORT,
    SIGNATURE,
    SUMS,
)
from ssdconvert.release.reading import Contents, Problem

NO_BUILD = "there is none: is this a build of ssdconvert?"
OLDER = "there is none: the build is of an older version, or not complete: build it again"


@dataclass
class Agreement:
    """What came of comparing: `statuses` by path, and the manifest and the recipe where they can be read."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None
    recipe: Recipe | None = None


def agreement(contents: Contents) -> Agreement:
    """Compare what is in a build with what its documents say."""
    found = Agreement(list(contents.problems))
    for path in contents.files:
        found.statuses[path] = "ok"
    if not {SUMS, MANIFEST} & set(contents.files):
        found.problems.append(Problem(MANIFEST, NO_BUILD))
        return found
    found.manifest = _claims(contents, MANIFEST, Manifest, found)
    _compare_digests(contents, found)
    if found.manifest is None:
        return found
    found.recipe = _recipe(contents, found)
    found.problems += _of_manifest(contents, found.manifest, found.statuses)
    found.problems += _compared(contents, found)
    if found.recipe:
        found.problems += disagreements_of_irs(contents, found.manifest, found.recipe)
    for path, _ in found.problems:
        if found.statuses.get(path) == "ok":
            found.statuses[path] = "changed"
    return found


def _compare_digests(contents: Contents, found: Agreement) -> None:
    """Hold each file against SHA256SUMS; a line that manifest and file contradict is itself the one that changed."""
    if SUMS not in contents.documents:
        found.problems.append(Problem(SUMS, OLDER))
        return
    try:
        sums = parsed_sums(contents.documents[SUMS])
    except DamagedSums as error:
        found.problems.append(Problem(SUMS, str(error)))
        return
    listed = {entry.path: entry.sha256 for entry in found.manifest.artifacts} if found.manifest else {}
    for path, expected in sums.items():
        actual = contents.files.get(path)
        if actual is None:
            found.problems.append(Problem(path, f"is missing: expected sha256 {expected}"))
            found.statuses[path] = "missing"
        elif actual.sha256 == listed.get(path) != expected:
            told = f"says sha256 {expected} of {path}, the file and {MANIFEST} {actual.sha256}"
            found.problems.append(Problem(SUMS, told))
        elif actual.sha256 != expected:
            told = f"is not the file of {SUMS}: expected sha256 {expected}, got {actual.sha256}"
            found.problems.append(Problem(path, told))
            found.statuses[path] = "changed"
    for path in contents.files:
        if path in listed and path not in sums:
            found.problems.append(Problem(SUMS, f"does not list {path}, {MANIFEST} does"))
        elif path not in sums and path != SUMS:
            places = found.problems if contents.archive or path in DOCUMENTS else found.warnings
            places.append(Problem(path, f"is not expected: {SUMS} does not list it"))
            found.statuses[path] = "unexpected"


def _of_manifest(contents: Contents, manifest: Manifest, statuses: Mapping[str, str]) -> Iterator[Problem]:
    """Hold the files against the manifest; `statuses` are by the checksums."""
    if contents.archive and contents.folder != manifest.recipe.name:
        told = f"is of {manifest.recipe.name}, the archive's folder is {contents.folder}"
        yield Problem(MANIFEST, told)
    listed = {entry.path for entry in manifest.artifacts}
    if len(listed) < len(manifest.artifacts):
        yield Problem(MANIFEST, "lists a file twice")
    for entry in manifest.artifacts:
        actual = contents.files.get(entry.path)
        if actual is None:
            yield Problem(entry.path, f"is missing: {MANIFEST} lists it with sha256 {entry.sha256}")
        elif (actual.bytes, actual.sha256) != (entry.bytes, entry.sha256):
            told = f"expected {entry.bytes} bytes, sha256 {entry.sha256}, got {actual.bytes} bytes, {actual.sha256}"
            yield Problem(entry.path, f"is not the file of {MANIFEST}: {told}")
    for path in sorted(set(contents.files) - listed - {*DOCUMENTS, SIGNATURE}):
        if contents.archive or statuses[path] != "unexpected":
            yield Problem(path, f"is not expected: {MANIFEST} does not list it")


def _compared(contents: Contents, found: Agreement) -> Iterator[Problem]:
    """Hold the other documents against the manifest."""
    manifest = found.manifest
    assert manifest is not None
    provenance = _claims(contents, PROVENANCE, Provenance, found)
    if provenance:
        yield from differences(
            PROVENANCE, told_by_provenance(provenance), expected_of_provenance(contents, manifest)
        )
    bill = _claims(contents, BILL, Bill, found)
    if bill:
        yield from differences(BILL, told_by_bill(bill), expected_of_bill(manifest, found.recipe, bill))
    report = _claims(contents, REPORT, Report, found)
    if report:
        yield from differences(REPORT, told_by_report(report), expected_of_report(manifest, report))
    if found.recipe and LABELS in contents.documents:
        told = contents.documents[LABELS].decode("utf-8", "replace")
        if told != labels_text(found.recipe):
            yield Problem(LABELS, f"holds other names than {RECIPE}")


def labels_text(recipe: Recipe) -> str:
    """Return the names of the classes, without the background, one a line."""
    return "".join(f"{name}\n" for name in recipe.class_names)


def _recipe(contents: Contents, found: Agreement) -> Recipe | None:
    """Return the resolved recipe, where it is the one of the manifest."""
    assert found.manifest is not None
    named = found.manifest.recipe
    if RECIPE not in contents.documents:
        found.problems.append(Problem(RECIPE, "is missing or too large"))
        return None
    try:
        recipe = load_resolved_recipe(Path(RECIPE), contents.documents[RECIPE])
    except RecipeError as error:
        found.problems.append(Problem(RECIPE, f"cannot be read: {error.message}"))
        return None
    told = {"name": recipe.name, "stand-in": recipe.is_stand_in}
    expected = {"name": named.name, "stand-in": found.manifest.stand_in}
    if found.manifest.of_this_version:
        told["sha256 as resolved"] = recipe_digest(recipe)
        expected["sha256 as resolved"] = named.resolved_sha256
    for file in recipe.source.published:
        fetched = [
            entry for entry in (*found.manifest.sources, *found.manifest.evidence) if entry.name == file.name
        ]
        for entry in fetched:
            if file.sha256:
                told[f"sha256 of {file.name}"], expected[f"sha256 of {file.name}"] = file.sha256, entry.sha256
    found.problems += differences(RECIPE, told, expected)
    return recipe


def _claims(contents: Contents, name: str, kind: type[Claim], found: Agreement) -> Claim | None:
    """Return what a document claims; None, and a problem, where it cannot be read."""
    if name not in contents.documents:
        if name not in contents.files:
            found.problems.append(Problem(name, OLDER))
        return None
    try:
        return claims_in(contents.documents[name], kind)
    except ValueError as error:
        found.problems.append(Problem(name, f"cannot be read: {error}"))
        return None
