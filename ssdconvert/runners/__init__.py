"""Runs a model on one input: `run(feeds) -> outputs`, both by tensor name, numpy arrays."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Runner(Protocol):
    """A model in an engine. `runtime` and `device` say which, for the report."""

    runtime: str
    device: str

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays: ...
