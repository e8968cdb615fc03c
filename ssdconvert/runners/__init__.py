"""Runs a model on one input: `run(feeds) -> outputs`, both by tensor name, numpy arrays."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Runner(Protocol):
    """A model in an engine: its version, the device that really runs, and the type that it computes in."""

    runtime: str
    executed_on: str
    execution_precision: str

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays: ...
