"""What documents of a build say twice, and how two sayings differ."""

from collections.abc import Iterator, Mapping

from ssdconvert.recipe import Recipe
from ssdconvert.release.claims import Bill, Manifest, Provenance, Report
from ssdconvert.release.names import MANIFEST, REPORT, VERDICT
from ssdconvert.release.provenance import purl
from ssdconvert.release.reading import IR, Contents, Problem
from ssdconvert.report.result import SHIPPED, verdict_of


def told_by_provenance(provenance: Provenance) -> dict[str, object]:
    """Return what a provenance says of what the manifest says too."""
    predicate = provenance.predicate
    asked = predicate.definition.external
    return {
        **{f"sha256 of {subject.name}": subject.digest.sha256 for subject in provenance.subject},
        **{
            f"original {one.name}": one.digest.sha256
            for one in predicate.definition.dependencies
            if one.digest is not None
        },
        "recipe": asked.recipe,
        "stand_in": asked.stand_in,
        "tail": asked.tail,
        "bake": asked.bake,
        "verdict": [one.annotations.get("verdict") for one in predicate.details.byproducts],
        "tools": [one.uri for one in predicate.definition.dependencies],
    }


def expected_of_provenance(contents: Contents, manifest: Manifest) -> dict[str, object]:
    """Return what the provenance of a manifest says of it."""
    reports = [entry for entry in manifest.artifacts if entry.path == REPORT]
    return {
        **{f"sha256 of {entry.path}": entry.sha256 for entry in manifest.artifacts},
        f"sha256 of {MANIFEST}": contents.files[MANIFEST].sha256,
        **{f"original {one.name}": one.sha256 for one in (*manifest.sources, *manifest.evidence)},
        "recipe": {"name": manifest.recipe.name, "sha256": manifest.recipe.sha256},
        "stand_in": manifest.stand_in,
        "tail": manifest.tail,
        "bake": manifest.stages.convert.bake,
        "verdict": [manifest.verdict for _ in reports],
        "tools": _tools(manifest),
    }


def told_by_bill(bill: Bill) -> dict[str, object]:
    """Return what a bill of materials says of what the manifest and the recipe say too."""
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
        "verdict": [one.value for one in bill.metadata.properties if one.name == VERDICT],
    }


def expected_of_bill(manifest: Manifest, recipe: Recipe | None, bill: Bill) -> dict[str, object]:
    """Return what the bill of a manifest, and of a recipe where it can be read, says of it."""
    told = [one.license.id or one.license.name for one in bill.metadata.component.licenses]
    return {
        "name": manifest.recipe.name,
        "licence": [recipe.licence] if recipe else told,
        **{f"SHA-256 of {entry.path}": [entry.sha256] for entry in manifest.artifacts},
        **{f"original {source.name}": [source.sha256] for source in manifest.sources},
        "tools": _tools(manifest),
        "verdict": [manifest.verdict],
    }


def told_by_report(report: Report) -> dict[str, object]:
    """Return what a report says of what the manifest says too; its checks are added up again."""
    return {
        "recipe": report.recipe,
        "verdict": report.verdict,
        "verdict of its checks": verdict_of(report.checks, report.reference_detections),
        "IRs that passed": sorted(
            {check.precision for check in report.checks if check.hop in SHIPPED and check.status == "pass"}
        ),
    }


def expected_of_report(manifest: Manifest, report: Report) -> dict[str, object]:
    """Return what the report of a manifest says of it: more IRs than one lists may have passed."""
    listed = {str(entry.precision) for entry in manifest.artifacts if IR.fullmatch(entry.path)}
    passed = told_by_report(report)["IRs that passed"]
    assert isinstance(passed, list)
    return {
        "recipe": manifest.recipe.name,
        "verdict": manifest.verdict,
        "verdict of its checks": manifest.verdict,
        "IRs that passed": sorted(listed | {*passed}) if manifest.verdict == "pass" else passed,
    }


def _sha256s(hashes: tuple[object, ...]) -> list[str]:
    return [one.content for one in hashes if one.alg == "SHA-256"]  # type: ignore[attr-defined]


def _tools(manifest: Manifest) -> list[str]:
    return sorted(
        purl(name, version) for name, version in manifest.tools.items() if version != "not installed"
    )


def differences(path: str, told: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what a document tells otherwise than is expected; more `tools` than those are no difference."""
    for key in (*expected, *(key for key in told if key not in expected)):
        given, wanted = told.get(key), expected.get(key)
        if key == "tools" and isinstance(given, list) and isinstance(wanted, list):
            wanted, given = [one for one in wanted if one not in given], []
        if given != wanted:
            yield Problem(path, f"{key}: expected {_shown(wanted)}, got {_shown(given)}")


def _shown(value: object) -> str:
    return "nothing" if value is None or value == [] else str(value)[:200]
