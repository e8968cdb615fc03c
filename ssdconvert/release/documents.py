"""The documents beside a build's files: manifest, provenance, bill of materials, checksums."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssdconvert.plain_text import json_text
from ssdconvert.recipe import Recipe
from ssdconvert.release.bill_of_materials import bill_of_materials
from ssdconvert.release.checksums import sums_text
from ssdconvert.release.names import BILL, MANIFEST, PROVENANCE, SUMS
from ssdconvert.release.provenance import provenance_document
from ssdconvert.report.result import Verification
from ssdconvert.workspace import digest_of_bytes, written_atomically


def documents_of(
    manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None
) -> dict[str, bytes]:
    """Return name -> content of the manifest and of what follows from it; `recipe` is the resolved one."""
    content = _json(manifest)
    digest = digest_of_bytes(content)
    return {
        PROVENANCE: _json(provenance_document(manifest, digest, recipe)),
        BILL: _json(bill_of_materials(manifest, digest, recipe, verification)),
        MANIFEST: content,
    }


def checksums(manifest: Mapping[str, Any], documents: Mapping[str, bytes]) -> bytes:
    """Return SHA256SUMS of the files that a manifest lists, and of documents."""
    digests = {entry["path"]: entry["sha256"] for entry in manifest["artifacts"]}
    digests |= {name: digest_of_bytes(content) for name, content in documents.items()}
    return sums_text(digests).encode()


def entry_of(path: str, content: bytes) -> dict[str, Any]:
    """Return the manifest's entry of a file that is no model."""
    return {"path": path, "sha256": digest_of_bytes(content), "bytes": len(content), "precision": None}


def write_documents(
    folder: Path, manifest: Mapping[str, Any], recipe: Recipe, verification: Verification | None
) -> None:
    """Write the documents of a build, each only where it is not there already; the checksums last."""
    documents = documents_of(manifest, recipe, verification)
    for name, content in {**documents, SUMS: checksums(manifest, documents)}.items():
        write_if_changed(folder / name, content)


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file atomically unless it is what it is to be."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def _json(document: Mapping[str, Any]) -> bytes:
    return (json_text(document, indent=2) + "\n").encode()
