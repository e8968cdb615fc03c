"""Checks a build folder or an archive: every file against every document, and on demand signature and models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdconvert.errors import RecipeError
from ssdconvert.release.agreement import Agreement, agreement
from ssdconvert.release.names import SIGNATURE
from ssdconvert.release.reading import Contents, Problem, read_archive, read_folder

if TYPE_CHECKING:
    from ssdconvert.devices import Machine
    from ssdconvert.report.result import Verification


@dataclass(frozen=True)
class Checked:
    """What was found. `recipe` is empty where nothing says what was built, `run` None where no model was run.

    `signature` is verified, absent, wrong or not asked; `files` are path, bytes, SHA-256 and status of each: ok,
    changed, missing or unexpected.
    """

    path: Path
    recipe: str
    verified_when_built: bool
    stand_in: bool
    files: tuple[dict[str, Any], ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    signature: str = "not asked"
    run: "Verification | None" = None

    @property
    def verdict(self) -> str:
        """`pass` where every file is the one that was verified, and a model that was run passed."""
        ran = self.run is None or self.run.verdict == "pass"
        return "pass" if not self.problems and self.verified_when_built and ran else "fail"

    def to_json(self) -> dict[str, Any]:
        """Return the document of `check --json`."""
        return {
            "path": str(self.path),
            "recipe": self.recipe,
            "verdict": self.verdict,
            "verified_when_built": self.verified_when_built,
            **({"stand_in": True} if self.stand_in else {}),
            "files": [dict(file) for file in self.files],
            "problems": [problem._asdict() for problem in self.problems],
            "warnings": [warning._asdict() for warning in self.warnings],
            "signature": self.signature,
            "run": self.run.to_json() if self.run else None,
        }


def check(path: Path, public_key: Path | None = None) -> Checked:
    """Return what is wrong with a build folder or an archive; nothing is written and no network is used.

    With a key, a signature that is absent or wrong is a problem, too. Raises RecipeError where there is neither folder
    nor file, or the key is none, and MissingDevice where signatures cannot be verified here.
    """
    contents = _read(path)
    found = agreement(contents)
    signature = "not asked" if public_key is None else _signature(contents, found, public_key)
    manifest = found.manifest
    return Checked(
        path,
        manifest.recipe.name if manifest else "",
        manifest is not None and manifest.verdict == "pass",
        manifest is not None and manifest.stand_in,
        tuple(_files(contents, found)),
        tuple(found.problems),
        tuple(found.warnings),
        signature,
    )


def run_here(
    checked: Checked, machines: "Sequence[Machine]", required_devices: Sequence[str] = ()
) -> Checked:
    """Run the models of a build that is as it should be on this machine, and return the result with it.

    What the original said is in the build: neither it nor its engine is needed. Raises MissingDevice where a device
    that is required, or OpenVINO, is not here, and what `ssdconvert.acceptance` raises.
    """
    from ssdconvert.acceptance import accept

    if checked.path.is_dir():
        return replace(checked, run=accept(checked.path, machines, required_devices))
    from ssdconvert.release.unpacking import unpacked

    with unpacked(checked.path, {file["path"]: file["sha256"] for file in checked.files}) as folder:
        return replace(checked, run=accept(folder, machines, required_devices))


def _read(path: Path) -> Contents:
    try:
        if path.is_dir():
            return read_folder(path)
        if path.is_file():
            return read_archive(path)
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read: {error.strerror}", hint="correct its permissions", stage="check"
        ) from error
    told = "is neither a folder nor a file" if path.exists() else "does not exist"
    raise RecipeError(
        f"{path} {told}",
        hint="give the folder of a build, or an archive of `ssdconvert package`",
        stage="check",
    )


def _signature(contents: Contents, found: Agreement, public_key: Path) -> str:
    """Return `verified`, `absent` or `wrong`, and add what is wrong to the problems."""
    from ssdconvert.release.signatures import why_not_signed

    signature = contents.documents.get(SIGNATURE)
    if signature is None:
        found.problems.append(Problem(SIGNATURE, "is missing: nobody has signed this"))
        return "absent"
    unexpected = {path for path, status in found.statuses.items() if status == "unexpected"}
    digests = {path: file.sha256 for path, file in contents.files.items() if path not in unexpected}
    problem = why_not_signed(contents.folder, digests, signature, public_key)
    if problem:
        found.problems.append(Problem(SIGNATURE, problem))
        return "wrong"
    return "verified"


def _files(contents: Contents, found: Agreement) -> list[dict[str, Any]]:
    return [
        {
            "path": path,
            "bytes": contents.files[path].bytes if path in contents.files else None,
            "sha256": contents.files[path].sha256 if path in contents.files else None,
            "status": status,
        }
        for path, status in sorted(found.statuses.items())
    ]
