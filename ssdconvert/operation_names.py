"""Names of the operations of an IR, apart from each other.

OpenVINO writes and reads IRs in which two operations have one name. 2022.3 refuses them, and whatever looks an
operation up by its name may find the other one.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any


def name_apart(operations: Iterable[Any]) -> None:
    """Rename those whose name one before them has: a/2, a/3 and so on."""
    taken: set[str] = set()
    for operation in operations:
        name = operation.get_friendly_name()
        numbered = (f"{name}/{number}" for number in itertools.count(2))
        free = next(one for one in itertools.chain([name], numbered) if one not in taken)
        if free != name:
            operation.set_friendly_name(free)
        taken.add(free)


def shared_names(model: Any) -> list[str]:
    """Return, sorted, the names that several operations of a model have."""
    counts = Counter(operation.get_friendly_name() for operation in model.get_ops())
    return sorted(name for name, count in counts.items() if count > 1)
