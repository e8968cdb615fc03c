"""The documents beside a build's files: manifest, provenance, bill of materials, checksums."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdconvert.plain_text import json_text
from ssdconvert.recipe import Recipe
from ssdconvert.release.checksums import sums_text
from ssdconvert.release.names import BILL, MANIFEST, PROVENANCE, RECIPE, SUMS
from ssdconvert.release.resolved_recipe import recipe_text
from ssdconvert.report.result import Verification
from ssdconvert.workspace import digest_of_bytes, written_atomically


def documents_of(
    manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None
) -> dict[str, bytes]:
    """Return name -> content of the manifest and of what follows from it; `recipe` is the resolved one."""
    from ssdconvert.release.bill_of_materials import bill_of_materials
    from ssdconvert.release.provenance import provenance_document

    content = _json(manifest)
    digest = digest_of_bytes(content)
    return {
        PROVENANCE: _json(provenance_document(manifest, digest, recipe)),
        BILL: _json(bill_of_materials(manifest, digest, recipe, verification)),
        MANIFEST: content,
    }


def digests_of(manifest: Mapping[str, Any], documents: Mapping[str, bytes]) -> dict[str, str]:
    """Return path -> SHA-256 of the files that a manifest lists, and of documents."""
    digests = {entry["path"]: entry["sha256"] for entry in manifest["artifacts"]}
    return digests | {name: digest_of_bytes(content) for name, content in documents.items()}


def checksums(manifest: Mapping[str, Any], documents: Mapping[str, bytes]) -> bytes:
    """Return SHA256SUMS of the files that a manifest lists, and of documents."""
    return sums_text(digests_of(manifest, documents)).encode()


def entry_of(path: str, content: bytes) -> dict[str, Any]:
    """Return the manifest's entry of a file that is no model."""
    return {"path": path, "sha256": digest_of_bytes(content), "bytes": len(content), "precision": None}


def recipe_entry(recipe: Recipe) -> dict[str, Any]:
    """Return the manifest's entry of a resolved recipe."""
    return entry_of(RECIPE, recipe_text(recipe).encode())


def write_documents(
    folder: Path, manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None
) -> None:
    """Write the documents of a build and its resolved recipe, those that are not there already.

    What names the others goes first and comes last, so that a kill leaves no manifest of files that are not there.
    The rest follows from the manifest, which names program and report: where it is the same, and the checksums fit,
    nothing is made anew.
    """
    if _fit(folder, manifest):
        return
    documents = documents_of(manifest, recipe, verification)
    sums = checksums(manifest, documents)
    wanted = {RECIPE: recipe_text(recipe).encode(), **documents, SUMS: sums}
    changed = {name: content for name, content in wanted.items() if not _holds(folder / name, content)}
    for name in (SUMS, MANIFEST) if changed else ():
        (folder / name).unlink(missing_ok=True)
        changed[name] = wanted[name]
    for name in sorted(changed, key=list(wanted).index):
        with written_atomically(folder / name) as temporary:
            temporary.write_bytes(wanted[name])


def _fit(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether a folder has this manifest, and the other documents are those of its checksums."""
    names = (PROVENANCE, BILL, MANIFEST)
    if not all((folder / name).is_file() for name in (*names, RECIPE, SUMS)):
        return False
    there = {name: (folder / name).read_bytes() for name in names}
    recipe = [entry for entry in manifest["artifacts"] if entry["path"] == RECIPE]
    return (
        there[MANIFEST] == _json(manifest)
        and recipe == [entry_of(RECIPE, (folder / RECIPE).read_bytes())]
        and (folder / SUMS).read_bytes() == checksums(manifest, there)
    )


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def _json(document: Mapping[str, Any]) -> bytes:
    return (json_text(document, indent=2) + "\n").encode()
