"""The build folder: atomic writes, digests, the lock, and what each stage was made from.

Beside the artefacts, a build folder holds `.ssdconvert/`: the lock, the graph before simplification,
and `stages.json`, which says from which inputs each stage made which files. A stage is up to date
when its inputs are the same and its files still have the digests written there.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssdconvert.errors import RecipeError
from ssdconvert.locks import held
from ssdconvert.plain_text import json_text
from ssdconvert.temporary_folders import remove_abandoned, temporary_folder_beside

PRIVATE = ".ssdconvert"
EXPORTED = f"{PRIVATE}/exported.onnx"  # the graph before simplification


def ir_files(name: str, precision: str) -> list[str]:
    """Return the relative paths of an IR's files, the .xml first."""
    return [f"{precision}/{name}.xml", f"{precision}/{name}.bin"]


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's digest, hexadecimal."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of what a file holds, or is to hold."""
    return hashlib.sha256(content).hexdigest()


def code_digest() -> str:
    """Return one digest over the sources and templates of this package: a changed program rebuilds."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".j2", ".css")):
        digest.update(str(path.relative_to(folder).as_posix()).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder for results; RecipeError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="give another one with --output",
            stage="output",
        ) from error


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path; what is written there appears at `path` when the block ends without error."""
    with temporary_folder_beside(path) as folder:
        temporary = folder / path.name
        yield temporary
        os.replace(temporary, path)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, readable and the same every time."""
    with written_atomically(path) as temporary:
        temporary.write_text(json_text(document, indent=2) + "\n", encoding="utf-8")


class Workspace:
    """One build folder. Paths given to its methods are relative to it, with `/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            (folder / PRIVATE).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise RecipeError(
                f"the output folder {folder} cannot be written: {error.strerror}",
                hint="give another folder with --output, or change its permissions",
                stage="output",
            ) from error

    def claim(self, recipe: str) -> None:
        """Make the folder that of a recipe; RecipeError when it holds a build of another one."""
        owner = self.folder / PRIVATE / "recipe"
        if owner.is_file() and owner.read_text("utf-8") != recipe:
            raise RecipeError(
                f"{self.folder} holds a build of {owner.read_text('utf-8')}, not of {recipe}",
                hint="give each recipe its own --output, or remove that folder",
                stage="output",
            )
        with written_atomically(owner) as temporary:
            temporary.write_text(recipe, "utf-8")

    def path(self, relative: str) -> Path:
        """Return where a file of the build is."""
        return self.folder / relative

    @contextmanager
    def locked(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the folder's lock, with nothing in it of killed builds; `on_wait` is called once when it is held."""
        with held(self.folder / PRIVATE / "lock", on_wait):
            remove_abandoned(self._folders())
            yield

    def _folders(self) -> Iterator[Path]:
        """Yield every folder that a build writes into."""
        yield self.folder
        yield from (path for path in self.folder.iterdir() if path.is_dir())
        yield from (path for path in (self.folder / PRIVATE).rglob("*") if path.is_dir())

    def why_stale(
        self, stage: str, inputs: Mapping[str, Any], outputs: Sequence[str], possible: Sequence[str] = ()
    ) -> str:
        """Return why a stage must run, or an empty string when it is up to date.

        Outputs that are `possible` must be there if the stage made them, and not if it did not.
        """
        record = self._records().get(stage)
        if record is None:
            return "not built yet"
        changed = _changes(record["inputs"], _flat(inputs))
        if changed:
            return changed
        made = [path for path in possible if path in record["outputs"] or self.path(path).exists()]
        outputs = [*outputs, *made]
        if sorted(record["outputs"]) != sorted(outputs):
            return "other files are asked for"
        for relative in outputs:
            path = self.path(relative)
            if not path.is_file():
                return f"{relative} is missing"
            if digest_of(path) != record["outputs"][relative]:
                return f"{relative} was changed by somebody else"
        return ""

    def record(self, stage: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> None:
        """Remember that a stage made `outputs` from `inputs`."""
        records = self._records()
        digests = {relative: digest_of(self.path(relative)) for relative in outputs}
        records[stage] = {"inputs": _flat(inputs), "outputs": digests}
        write_json(self.path(f"{PRIVATE}/stages.json"), records)

    def forget(self, stage: str) -> None:
        """Drop what is remembered of a stage, so that it runs again."""
        records = self._records()
        if records.pop(stage, None) is not None:
            write_json(self.path(f"{PRIVATE}/stages.json"), records)

    def digests(self, stage: str) -> dict[str, str]:
        """Return the digests of the files that a recorded stage made, by relative path."""
        return dict(self._records()[stage]["outputs"])

    def _records(self) -> dict[str, Any]:
        try:
            records = json.loads(self.path(f"{PRIVATE}/stages.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        parts = ("inputs", "outputs")
        return {
            stage: record
            for stage, record in (records.items() if isinstance(records, dict) else ())
            if isinstance(record, dict) and all(isinstance(record.get(part), dict) for part in parts)
        }


def _flat(inputs: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one of dotted names, so that a change has a short name."""
    flat: dict[str, Any] = {}
    for key, value in inputs.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}."))
        else:
            flat[name] = json.loads(json.dumps(value))
    return flat


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in a few words which inputs differ."""
    names = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    if not names:
        return ""
    names.sort(key=lambda name: (name.startswith(("files.", "source.")), name))  # what people write, first
    first, _, file = names[0].partition(".")
    if first == "code":
        told = "ssdconvert itself changed"
    elif first in ("files", "source"):
        told = f"{file} changed"
    elif first in ("picture", "pictures"):
        told = "the pictures changed"
    else:
        old, new = _short(before.get(names[0])), _short(after.get(names[0]))
        told = f"{names[0]} changed from {old} to {new}"
    return told + (f", and {len(names) - 1} more" if len(names) > 1 else "")


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 50 else f"{text[:24]}...{text[-20:]}"
