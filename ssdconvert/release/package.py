"""Packs a verified build into one archive: what of it goes out of the door, and what does not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdconvert.errors import FetchError, RecipeError, SsdconvertError, WrongModel
from ssdconvert.recipe import Recipe, recipe_digest
from ssdconvert.release.agreement import Agreement, agreement, labels_text
from ssdconvert.release.archive import ChangedMeanwhile, write_archive
from ssdconvert.release.claims import Manifest
from ssdconvert.release.documents import checksums, digests_of, documents_of, entry_of
from ssdconvert.release.licences import licence_text, licence_warning
from ssdconvert.release.model_card import model_card
from ssdconvert.release.names import CARD, DOCUMENTS, LABELS, LICENCE, MANIFEST, REPORT, SIGNATURE, SUMS
from ssdconvert.release.reading import Contents, read_folder
from ssdconvert.report.result import Verification, verification_from_json

STAGE = "package"


@dataclass(frozen=True)
class Packed:
    """An archive that was written. `files` are path, bytes and SHA-256 of what is in it."""

    recipe: str
    archive: Path
    sha256: str
    bytes: int
    files: tuple[Mapping[str, Any], ...]
    signed: bool
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `package --json`."""
        return {
            "recipe": self.recipe,
            "archive": str(self.archive),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "files": [dict(file) for file in self.files],
            "signed": self.signed,
            "warnings": list(self.warnings),
        }


def package(
    recipe: Recipe,
    build: Path,
    archive: Path,
    precisions: Sequence[str] = (),
    allow_unpinned: bool = False,
    private_key: Path | None = None,
) -> Packed:
    """Write the archive of a recipe's build, with the IRs of these precisions, or of all that it has.

    Raises WrongModel unless the build is verified and no stand-in, FetchError where its files are not those that were
    verified or an original is unpinned, RecipeError for what it does not have, and for a key that is none.
    """
    contents, found = _whole(recipe, build)
    assert found.manifest is not None
    assert found.recipe is not None
    _refuse_unverified(found.manifest, build)
    _refuse_other_recipe(recipe, found.manifest, build)
    if not allow_unpinned:
        _refuse_unpinned(recipe, found.manifest)
    # of what was checked: a build that runs meanwhile may have written others
    manifest = json.loads(contents.documents[MANIFEST])
    verification = verification_from_json(json.loads(contents.documents[REPORT]))
    members = _members(manifest, found.recipe, verification, build, _chosen(found.manifest, precisions))
    if private_key is not None:
        from ssdconvert.release.signatures import signed

        members[SIGNATURE] = signed(recipe.name, digests_of(manifest, _made(members)), private_key)
    members[SUMS] = checksums(manifest, _made(members))
    return _written(recipe.name, archive, members, manifest, licence_warning(recipe))


def _whole(recipe: Recipe, build: Path) -> tuple[Contents, Agreement]:
    """Return what is in a build, all of it digested again, and what its documents say."""
    again = f"`ssdconvert build {recipe.name}` makes and verifies it"
    if not build.is_dir():
        raise RecipeError(f"there is no build of {recipe.name} in {build}", hint=again, stage=STAGE)
    if not (build / MANIFEST).is_file():
        raise WrongModel(
            f"the build in {build} is not verified: it has no {MANIFEST}", hint=again, stage=STAGE
        )
    contents = read_folder(build)
    found = agreement(contents)
    if found.problems:
        lines = [f"{build / path} {problem}" for path, problem in found.problems[:10]]
        raise FetchError(
            "\n".join([f"the build in {build} is not what was verified:", *lines]), hint=again, stage=STAGE
        )
    return contents, found


def _refuse_unverified(manifest: Manifest, build: Path) -> None:
    if manifest.stand_in:
        raise WrongModel(
            f"the build in {build} is a stand-in: its weights come from a seed and detect nothing real",
            hint="build it from the published files, without --stand-in",
            stage=STAGE,
        )
    if manifest.verdict != "pass":
        raise WrongModel(
            f"the build in {build} is {manifest.verdict}, expected pass",
            hint=f"{build / REPORT} has every check",
            stage=STAGE,
        )


def _refuse_other_recipe(recipe: Recipe, manifest: Manifest, build: Path) -> None:
    expected, built = (recipe.name, recipe_digest(recipe)), (manifest.recipe.name, manifest.recipe.sha256)
    if built != expected:
        changed = "another recipe" if built[0] != expected[0] else "an earlier form of the recipe"
        raise RecipeError(
            f"{build} holds a build of {changed}: {built[0]} of sha256 {built[1]}, expected {expected[1]}",
            hint=f"build {recipe.name} again",
            stage=STAGE,
        )


def _refuse_unpinned(recipe: Recipe, manifest: Manifest) -> None:
    without = {file.name for file in recipe.source.files if not (file.sha256 or file.sha384)}
    unpinned = [source for source in manifest.sources if not source.pinned or source.name in without]
    if unpinned:
        told = ", ".join(f"{source.name} (sha256 {source.sha256})" for source in unpinned)
        raise FetchError(
            f"{manifest.recipe.name} was built from files for which its recipe has no digest: {told}",
            hint="write the digest into the recipe and build again, or allow it with --allow-unpinned",
            stage=STAGE,
        )


def _chosen(manifest: Manifest, precisions: Sequence[str]) -> tuple[str, ...]:
    built = tuple(dict.fromkeys(entry.precision for entry in manifest.artifacts if entry.precision))
    missing = [precision for precision in precisions if precision not in built]
    if missing:
        name = manifest.recipe.name
        raise RecipeError(
            f"{name}: {', '.join(missing)} is not built, there is {', '.join(built)}",
            hint=f"ssdconvert build {name} {' '.join(f'--precision {one}' for one in (*built, *missing))}",
            stage=STAGE,
        )
    return tuple(precisions) or built


def _members(
    manifest: dict[str, Any],
    recipe: Recipe,
    verification: Verification,
    build: Path,
    precisions: Sequence[str],
) -> dict[str, Path | bytes]:
    """Return path -> file or content of what goes into the archive, and make the manifest that of these alone."""
    added = {LABELS: labels_text(recipe).encode(), LICENCE: licence_text(recipe).encode()}
    made_here = {*added, CARD}  # a build that comes from an archive has them
    kept = [
        entry
        for entry in manifest["artifacts"]
        if entry["precision"] in (None, *precisions) and entry["path"] not in made_here
    ]
    manifest["artifacts"] = kept
    files = {*(entry["path"] for entry in kept), *added, CARD, *DOCUMENTS}
    added[CARD] = model_card(manifest, recipe, verification, sorted(files)).encode()
    manifest["artifacts"] = [*kept, *(entry_of(path, content) for path, content in sorted(added.items()))]
    members: dict[str, Path | bytes] = {entry["path"]: build / entry["path"] for entry in kept}
    return members | added | documents_of(manifest, recipe, verification)


def _made(members: Mapping[str, Path | bytes]) -> dict[str, bytes]:
    """Return the members that are made here; the others are the build's files, as its manifest has them."""
    return {path: content for path, content in members.items() if isinstance(content, bytes)}


def _written(
    name: str, archive: Path, members: Mapping[str, Path | bytes], manifest: Mapping[str, Any], warning: str
) -> Packed:
    entries = {entry["path"]: entry for entry in manifest["artifacts"]}
    entries |= {path: entry_of(path, content) for path, content in _made(members).items()}
    files = [{key: entries[path][key] for key in ("path", "bytes", "sha256")} for path in sorted(entries)]
    try:
        written = write_archive(archive, name, members, {file["path"]: file["sha256"] for file in files})
    except ChangedMeanwhile as error:
        raise FetchError(str(error), hint="run the same command again", stage=STAGE) from error
    except (OSError, ValueError) as error:
        raise _not_written(archive, error) from error
    warnings = (warning,) if warning else ()
    signed = SIGNATURE in members
    return Packed(name, archive, written.digests["sha256"], written.size, tuple(files), signed, warnings)


def _not_written(archive: Path, error: Exception) -> SsdconvertError:
    return RecipeError(
        f"{archive} cannot be written: {error}",
        hint="make its folder writable, with space left, or give another --output",
        stage="output",
    )
