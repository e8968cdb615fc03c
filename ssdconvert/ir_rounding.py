"""Whether an IR of FP16 is that of FP32 with its weights rounded, and nothing else.

What rounded weights cost hides small mistakes from every limit that allows for it. The two files hide none:
the operations must be the same, and each weight the nearest that 16 bits can hold.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ssdconvert.ir_file import read_ir

MOST_NAMED = 3  # of what differs
LARGEST = np.finfo(np.float16).max  # which the converter takes for all beyond


def broken_rounding(full: Path, rounded: Path) -> list[str]:
    """Return how the IR at `rounded` differs from that at `full` beyond the rounding; both are .xml files.

    Raises ConversionError where one of them cannot be read.
    """
    first_model, second_model = read_ir(full), read_ir(rounded)
    first, second = _operations(first_model), _operations(second_model)
    common = sorted(set(first) & set(second))
    return [
        *_named("only one of them has", set(first) ^ set(second)),
        *_named("other attributes or inputs", (n for n in common if not _alike(first[n], second[n]))),
        *_named("other numbers", (n for n in common if not _rounded(first[n], second[n]))),
    ]


def same_operations(full: Path, rounded: Path) -> bool:
    """Say whether two IRs have operations of the same names, as those have that were made of one model at once."""
    return set(_operations(read_ir(full))) == set(_operations(read_ir(rounded)))


def _named(what: str, names: Iterable[str]) -> list[str]:
    listed = sorted(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return [f"not the FP32 IR rounded: {what}: {', '.join(listed[:MOST_NAMED])}{more}"] if listed else []


def _operations(model: Any) -> dict[str, Any]:
    """Return what computes, by name: neither constants nor what turns them from 16 bits to 32."""
    nodes = (
        node
        for node in model.get_ordered_ops()
        if _constant(node.output(0) if node.outputs() else None) is None
    )
    return {node.get_friendly_name(): node for node in nodes}


def _constant(port: Any) -> Any:
    """Return the constant that a port hands out, None where it is computed."""
    if port is None:
        return None
    node = port.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _alike(first: Any, second: Any) -> bool:
    """Whether two operations are of one type, with the same attributes, and take the same."""
    return bool(
        first.get_type_name() == second.get_type_name()
        and first.get_attributes() == second.get_attributes()
        and _sources(first) == _sources(second)
    )


def _sources(node: Any) -> list[tuple[str, int]]:
    """Return the operation and the number of its output that each input takes, constants without a name."""
    ports = node.input_values()
    return [
        ("", 0) if _constant(port) is not None else (port.get_node().get_friendly_name(), port.get_index())
        for port in ports
    ]


def _rounded(first: Any, second: Any) -> bool:
    """Whether the constants that the second operation takes are the first's, rounded where they have 16 bits."""
    pairs = zip(first.input_values(), second.input_values(), strict=False)
    for expected, actual in ((_constant(a), _constant(b)) for a, b in pairs):
        if expected is not None and actual is not None and not _same_numbers(expected, actual):
            return False
    return True


def _same_numbers(first: Any, second: Any) -> bool:
    expected, actual = first.get_data(), second.get_data()
    if actual.dtype == np.float16 and expected.dtype == np.float32:
        expected = np.clip(expected, -LARGEST, LARGEST).astype(np.float16)
    real = expected.dtype.kind == "f"
    return bool(expected.dtype == actual.dtype and np.array_equal(expected, actual, equal_nan=real))
