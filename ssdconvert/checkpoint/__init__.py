"""Loads PyTorch checkpoints without running them: neither torch nor pickle takes part.

The tensors are in a whole module, in a dictionary under `model` or `state_dict`, or in a bare
state_dict. `container` reads the file, `restricted_pickle` the pickles in it, and
`allowed_globals` says what these may name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ssdconvert.checkpoint.allowed_globals import Inert, RefusedError, TensorRecord
from ssdconvert.checkpoint.container import Array, materialise, open_container
from ssdconvert.errors import ConversionError

PREFIXES = ("module.1.", "module.")  # DataParallel around Sequential(.., network), or around the network
MODULES_LIMIT, TENSORS_LIMIT = 10_000, 100_000  # far above any network: what nested references could cost
LONGEST_NAME = 1_000  # characters of a tensor's key
SHOWN = 8  # of each sort of unfitting key

Records = dict[str, TensorRecord]
Form = Literal["module", "dict", "state_dict"]


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint, as torch's state_dict names them, and how they were found.

    bfloat16 is read as float32; every other type stays as it is. `notes` are phrases for the log.
    """

    tensors: dict[str, Array]
    container: Literal["legacy", "zip"]
    form: Form
    notes: tuple[str, ...]


def load_state_dict(path: Path, expected: Mapping[str, Sequence[int]] | None = None) -> Checkpoint:
    """Return the tensors of the checkpoint `path`, each a contiguous array of its own.

    `expected` is the network's state_dict, key -> shape. With it the result has its keys only, and
    all of them but for `*.num_batches_tracked`, which old checkpoints lack. Where every key starts
    with `module.1.` or `module.`, that prefix is removed, unless the network's own keys have it.
    ConversionError (stage `load`) if the file is unreadable, damaged, names what it must not, or
    belongs to another network.
    """
    try:
        container = open_container(path.read_bytes())
        records, form, notes = _find_tensors(container.root)
        records, removed = _without_prefixes(records, expected or {})
        if expected is not None:
            records = _fitting(records, expected)
        tensors = materialise(records, container)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConversionError(
            f"{path} cannot be read: {reason}", hint="check the path and its permissions", stage="load"
        ) from error
    except RefusedError as error:
        raise ConversionError(f"{path}: {error}", hint=error.hint, stage="load") from error
    return Checkpoint(tensors, container.kind, form, (*notes, *removed, *_notes_on_storages(records)))


def _find_tensors(root: Any) -> tuple[Records, Form, list[str]]:
    """Return the tensors by name, the form in which they were found, and notes."""
    if type(root) is Inert:
        return _module_tensors(root), "module", [f"state_dict collected from a whole {root.origin}"]
    if type(root) is not dict:
        raise RefusedError(f"the checkpoint holds a {type(root).__name__}, not a module or a state_dict")
    for key in ("model", "state_dict"):
        inner = root.get(key)
        if isinstance(inner, (Inert, dict)):
            records = _module_tensors(inner) if isinstance(inner, Inert) else _direct_tensors(inner)
            return records, "dict", [f"taken from the key {key!r} of {_listed(root)}"]
    records = _direct_tensors(root)
    others = len(root) - len(records)
    return records, "state_dict", [f"{others} entries that are no tensors ignored"] if others else []


def _direct_tensors(state_dict: dict[Any, Any]) -> Records:
    records = {
        key: value for key, value in state_dict.items() if type(value) is TensorRecord and type(key) is str
    }
    if not records:
        raise RefusedError(
            "the checkpoint holds no tensors where they are looked for (under `model`, under `state_dict`, "
            f"or directly); its keys are {_listed(state_dict) or 'none'}",
            "save the network's state_dict by itself: torch.save(model.state_dict(), ...)",
        )
    return records


def _module_tensors(root: Inert) -> Records:
    """Return what the state_dict of a pickled module has: in torch's order, under torch's names."""
    records: Records = {}
    waiting, visited = [("", root)], 0
    while waiting:
        prefix, module = waiting.pop()
        if len(prefix) > LONGEST_NAME:
            raise RefusedError(f"the module tree has no end, or names without end: {prefix[:80]!a}...")
        state = module.state if type(module.state) is dict else {}
        parts: list[Any] = [state.get(part) for part in ("_parameters", "_buffers", "_modules")]
        if any(type(part) is not dict for part in parts):
            raise RefusedError(f"{prefix[:80]!a}, a {module.origin}, is not a pickled torch module")
        parameters, buffers, children = parts
        volatile = state.get("_non_persistent_buffers_set")  # since torch 1.6
        volatile = volatile if type(volatile) is set else set()
        own = [*parameters.items(), *(item for item in buffers.items() if item[0] not in volatile)]
        for name, value in own:
            if type(value) is TensorRecord:
                records[f"{prefix}{name}"] = value
            elif value is not None:
                raise RefusedError(f"{(prefix + str(name))[:80]!a} is a {type(value).__name__}, not a tensor")
        kept = [(f"{prefix}{name}.", child) for name, child in children.items() if child is not None]
        if not all(type(child) is Inert for _, child in kept):
            raise RefusedError(f"{prefix[:80]!a} has a child that is no module")
        waiting += reversed(kept)
        visited += 1 + len(kept)
        if visited > MODULES_LIMIT or len(records) > TENSORS_LIMIT:
            raise RefusedError("the module tree has no end: its modules contain each other")
    return records


def _without_prefixes(records: Records, expected: Mapping[str, object]) -> tuple[Records, list[str]]:
    notes = []
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in expected):
            continue
        if records and all(key.startswith(prefix) for key in records):
            records = {key.removeprefix(prefix): record for key, record in records.items()}
            notes.append(f"prefix {prefix!r} removed from every key")
    return records, notes


def _fitting(records: Records, expected: Mapping[str, Sequence[int]]) -> Records:
    """Return the expected tensors; RefusedError lists those that are missing, unexpected or misshapen."""

    def counter(key: str) -> bool:
        return key.endswith("num_batches_tracked")

    missing = [key for key in expected if key not in records and not counter(key)]
    unexpected = [key for key in records if key not in expected and not counter(key)]
    fitting = {key: records[key] for key in expected if key in records}
    misshapen = [
        f"{key} (expected {list(expected[key])}, found {list(record.size)})"
        for key, record in fitting.items()
        if list(record.size) != list(expected[key])
    ]
    sorts = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
    found = [f"{len(keys)} {sort}: {_listed(keys)}" for sort, keys in sorts if keys]
    if found:
        raise RefusedError(
            f"the tensors are not those of the network; {'; '.join(found)}",
            "this looks like another network's checkpoint: check the recipe's network and number of classes",
        )
    return fitting


def _listed(keys: Iterable[object]) -> str:
    """Return the first keys, readable even if the file made them long or strange."""
    names = [str(key)[:120].encode("unicode_escape").decode("ascii") for key in keys]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _notes_on_storages(records: Records) -> list[str]:
    storages = {record.storage for record in records.values()}
    places = sorted({storage.location for storage in storages} - {"cpu"})
    notes = [f"storages of {_listed(places)} read on the CPU"] if places else []
    if any(storage.kind == "BFloat16Storage" for storage in storages):
        notes.append("bfloat16 read as float32")
    return notes
