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
from ssdconvert.release.provenance import purl
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
    found.problems += _of_manifest(contents, found.manifest)
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
        if path not in sums and path != SUMS:
            places = found.problems if contents.archive or path in DOCUMENTS else found.warnings
            places.append(Problem(path, f"is not expected: {SUMS} does not list it"))
            found.statuses[path] = "unexpected"


def _of_manifest(contents: Contents, manifest: Manifest) -> Iterator[Problem]:
    """Hold the files against the manifest."""
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
    if contents.archive:
        for path in sorted(set(contents.files) - listed - {*DOCUMENTS, SIGNATURE}):
            yield Problem(path, f"is not expected: {MANIFEST} does not list it")


def _compared(contents: Contents, found: Agreement) -> Iterator[Problem]:
    """Hold the other documents against the manifest."""
    manifest = found.manifest
    assert manifest is not None
    provenance = _claims(contents, PROVENANCE, Provenance, found)
    if provenance:
        yield from _different(
            PROVENANCE, _told_by_provenance(provenance), _expected_of_provenance(contents, manifest)
        )
    bill = _claims(contents, BILL, Bill, found)
    if bill:
        yield from _different(BILL, _told_by_bill(bill), _expected_of_bill(manifest, found.recipe, bill))
    report = _claims(contents, REPORT, Report, found)
    if report:
        expected = {"recipe": manifest.recipe.name, "verdict": manifest.verdict}
        yield from _different(REPORT, report.model_dump(), expected)
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
    told = {"name": recipe.name, "sha256 as resolved": recipe_digest(recipe), "stand-in": recipe.is_stand_in}
    expected = {
        "name": named.name,
        "sha256 as resolved": named.resolved_sha256,
        "stand-in": found.manifest.stand_in,
    }
    for file in recipe.source.published:
        fetched = [
            entry for entry in (*found.manifest.sources, *found.manifest.evidence) if entry.name == file.name
        ]
        for entry in fetched:
            if file.sha256:
                told[f"sha256 of {file.name}"], expected[f"sha256 of {file.name}"] = file.sha256, entry.sha256
    found.problems += _different(RECIPE, told, expected)
    return recipe


def _told_by_provenance(provenance: Provenance) -> dict[str, object]:
    predicate = provenance.predicate
    return {
        **{f"sha256 of {subject.name}": subject.digest.sha256 for subject in provenance.subject},
        **{
            f"original {one.name}": one.digest.sha256
            for one in predicate.definition.dependencies
            if one.digest is not None
        },
        "recipe": predicate.definition.external.recipe,
        "verdict": [one.annotations.get("verdict") for one in predicate.details.byproducts],
        "tools": [one.uri for one in predicate.definition.dependencies],
    }


def _expected_of_provenance(contents: Contents, manifest: Manifest) -> dict[str, object]:
    reports = [entry for entry in manifest.artifacts if entry.path == REPORT]
    return {
        **{f"sha256 of {entry.path}": entry.sha256 for entry in manifest.artifacts},
        f"sha256 of {MANIFEST}": contents.files[MANIFEST].sha256,
        **{f"original {one.name}": one.sha256 for one in (*manifest.sources, *manifest.evidence)},
        "recipe": {"name": manifest.recipe.name, "sha256": manifest.recipe.sha256},
        "verdict": [manifest.verdict for _ in reports],
        "tools": _tools(manifest),
    }


def _told_by_bill(bill: Bill) -> dict[str, object]:
    model = bill.metadata.component
    return {
        "name": model.name,
        "licence": [one.license.id or one.license.name for one in model.licenses],
        **{f"SHA-256 of {file.name}": _sha256s(file.hashes) for file in model.components},
        **{
            f"original {file.name}": _sha256s(file.hashes)
            for ancestor in model.pedigree.ancestors
            for file in ancestor.components
        },
        "tools": [component.purl for component in bill.components],
    }


def _expected_of_bill(manifest: Manifest, recipe: Recipe | None, bill: Bill) -> dict[str, object]:
    told = [one.license.id or one.license.name for one in bill.metadata.component.licenses]
    return {
        "name": manifest.recipe.name,
        "licence": [recipe.licence] if recipe else told,
        **{f"SHA-256 of {entry.path}": [entry.sha256] for entry in manifest.artifacts},
        **{f"original {source.name}": [source.sha256] for source in manifest.sources},
        "tools": _tools(manifest),
    }


def _sha256s(hashes: tuple[object, ...]) -> list[str]:
    return [one.content for one in hashes if one.alg == "SHA-256"]  # type: ignore[attr-defined]


def _tools(manifest: Manifest) -> list[str]:
    return sorted(
        purl(name, version) for name, version in manifest.tools.items() if version != "not installed"
    )


def _different(path: str, told: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what a document tells otherwise than is expected; more `tools` than those are no difference."""
    for key in (*expected, *(key for key in told if key not in expected)):
        given, wanted = told.get(key), expected.get(key)
        if key == "tools" and isinstance(given, list) and isinstance(wanted, list):
            wanted, given = [one for one in wanted if one not in given], []
        if given != wanted:
            yield Problem(path, f"{key}: expected {_shown(wanted)}, got {_shown(given)}")


def _shown(value: object) -> str:
    return "nothing" if value is None or value == [] else str(value)[:200]


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
