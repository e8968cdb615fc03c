"""Builds as they lie in folders: what each says of itself, for a page of several of them.

Nothing is judged here, and no artefact is read: `ssdconvert check` re-hashes them. But a report counts only
where the build's manifest names its digest, for a verdict must not stand beside files that it is not about.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ssdconvert.errors import RecipeError
from ssdconvert.recipe import STAND_IN
from ssdconvert.recipe_yaml import read_yaml
from ssdconvert.release.names import MANIFEST, RECIPE, REPORT
from ssdconvert.report.result import Level, Status, Verification, verification_from_json
from ssdconvert.safe_archive import UnsafeArchive, checked_members
from ssdconvert.workspace import digest_of

UNBUILT, UNVERIFIED = "unbuilt", "unverified"  # verdicts of what has no report that counts
LARGEST_DOCUMENT = 200_000_000  # bytes of a report.json; that of 1000 pictures has some 20 million
MOST_MEMBERS = 10_000
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)  # of a document that is not ours


@dataclass(frozen=True)
class Build:
    """A build folder. `verification` is None where there is no report that counts, and `problem` says why.

    `sizes` are bytes of the IR by precision. `archive` was packed from this very build; `archive_problem`
    says why an archive that is there is passed over.
    """

    folder: Path
    name: str
    title: str = ""
    verification: Verification | None = None
    problem: str = ""
    sizes: Mapping[str, int] | None = None
    archive: Path | None = None
    archive_problem: str = ""

    @property
    def verdict(self) -> str:
        """`pass`, `fail`, `inconclusive`; `unverified` without a report, `unbuilt` without anything."""
        if self.verification:
            return self.verification.verdict
        return UNVERIFIED if self.folder.is_dir() else UNBUILT

    @property
    def reason(self) -> str:
        """Why it is not `pass`; empty when it is."""
        return self.verification.reason if self.verification else self.problem

    @property
    def stand_in(self) -> bool:
        """Whether its weights come from a seed."""
        return self.verification.stand_in if self.verification else self.name.endswith(STAND_IN)


def read_builds(folders: Iterable[Path], archives: Sequence[Path] = ()) -> list[Build]:
    """Return what build folders say, each once; builds of one name have their folders' in brackets."""
    builds = [read_build(folder, archives) for folder in dict.fromkeys(folders)]
    names = Counter(build.name for build in builds)
    return [
        replace(build, name=f"{build.name} ({build.folder})") if names[build.name] > 1 else build
        for build in builds
    ]


def read_build(folder: Path, archives: Sequence[Path] = ()) -> Build:
    """Return what a build folder says; archives are looked for as NAME.tar in folders, the first one counts."""
    name = folder.resolve().name
    if not folder.is_dir():
        there = "no folder" if folder.exists() else "not there"
        return Build(folder, name, problem=f"{folder} is {there}: nothing was built")
    try:
        manifest = _document(folder / MANIFEST)
        name = _checked_name(manifest["recipe"]["name"])
        sizes: dict[str, int] = {}
        digests = {}
        for entry in manifest["artifacts"]:
            path = str(entry["path"])
            digests[path] = str(entry["sha256"])
            if path.endswith((".xml", ".bin")) and entry["precision"]:
                precision = str(entry["precision"])
                sizes[precision] = sizes.get(precision, 0) + int(entry["bytes"])
    except FileNotFoundError:
        return Build(folder, name, problem=f"{MANIFEST} is not there: the build did not come to its end")
    except (OSError, *MALFORMED) as error:
        return Build(folder, name, problem=f"{MANIFEST} cannot be read: {_told(error)}")
    verification, problem = _verification(folder / REPORT, digests.get(REPORT))
    archive, archive_problem = _archive(name, digests, archives)
    return Build(folder, name, _title(folder), verification, problem, sizes, archive, archive_problem)


def _verification(path: Path, digest: str | None) -> tuple[Verification | None, str]:
    """Return the verification in a report.json, or why there is none."""
    try:
        if not path.is_file():
            return None, f"{REPORT} is not there: it was not verified"
        if digest_of(path) != digest:
            return None, f"{REPORT} is not the one that {MANIFEST} names: verify again"
        return _of_right_types(verification_from_json(_document(path))), ""
    except (OSError, *MALFORMED) as error:
        return None, f"{REPORT} cannot be read: {_told(error)}"


def _of_right_types(verification: Verification) -> Verification:
    """Return a verification; TypeError or ValueError where a check is not what a report holds."""
    for check in verification.checks:
        if check.status not in get_args(Status) or check.level not in get_args(Level):
            raise ValueError(f"a check of level {check.level!r} is {check.status!r}")
        told = [*check.candidate, check.input, check.output, check.metric, check.reason]
        told += [check.executed_on, check.execution_precision]
        found = [check.value, check.limit, check.required]
        if not all(isinstance(word, str) for word in told):
            raise TypeError(f"expected text in a check, got {told}")
        if not all(number is None or isinstance(number, int | float) for number in found):
            raise TypeError(f"expected numbers in a check, got {found}")
    return verification


def _checked_name(name: Any) -> str:
    """Return a name that can be a file's; ValueError for any other."""
    if not isinstance(name, str) or not name.isprintable() or Path(name).name != name:
        raise ValueError(f"it is of a recipe {name!r}")
    return name


def _document(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise ValueError("no regular file")  # a pipe would be waited for
    with path.open("rb") as file:
        content = file.read(LARGEST_DOCUMENT + 1)
    if len(content) > LARGEST_DOCUMENT:
        raise ValueError(f"more than {LARGEST_DOCUMENT} bytes")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def _title(folder: Path) -> str:
    """Return the title in a build's recipe.yaml; empty where it has none."""
    path = folder / RECIPE
    try:
        _, recipe, _ = read_yaml(path) if path.is_file() else (None, None, None)
    except RecipeError:
        return ""
    title = recipe.get("title", "") if isinstance(recipe, dict) else ""
    return title if isinstance(title, str) else ""


def _archive(name: str, digests: Mapping[str, str], folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Return the archive of a build, or why the one that is there is not of this build."""
    paths = [folder / f"{name}.tar" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None, ""
    try:
        packed = _packed(path, name)
    except (OSError, UnsafeArchive, *MALFORMED) as error:
        return None, f"{path.name} is no archive of ssdconvert: {_told(error)}"
    models = {file: digest for file, digest in packed.items() if file.endswith((".xml", ".bin", ".onnx"))}
    if not models or any(digests.get(file) != digest for file, digest in models.items()):
        return None, f"{path.name} is of another build: package it again"
    return path, ""


def _packed(path: Path, name: str) -> dict[str, str]:
    """Return the digests in the manifest of an archive, by path."""
    import tarfile

    try:
        with tarfile.open(path, "r:") as archive:
            for member_path, member in checked_members(archive, MOST_MEMBERS, LARGEST_DOCUMENT * 100):
                if member_path.as_posix() == f"{name}/{MANIFEST}":
                    file = archive.extractfile(member)
                    content = file.read(LARGEST_DOCUMENT) if file else b""
                    return {str(e["path"]): str(e["sha256"]) for e in json.loads(content)["artifacts"]}
    except (tarfile.TarError, EOFError, RecursionError) as error:
        raise ValueError(str(error)) from error
    raise ValueError(f"it has no {name}/{MANIFEST}")
