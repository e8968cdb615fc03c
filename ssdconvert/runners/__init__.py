"""Runs a model on one input: `run(feeds) -> outputs`, both by tensor name, numpy arrays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ssdconvert.errors import ConversionError

Arrays = dict[str, NDArray[Any]]


class Runner(Protocol):
    """A model in an engine: its version, the device that really runs, and the type that it computes in."""

    runtime: str
    executed_on: str
    execution_precision: str

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays: ...


def stopped(model: Path | str, engine: str, said: str) -> ConversionError:
    """Return the failure that a model stands for on which its engine stops."""
    return ConversionError(
        f"{model} does not run in {engine}: {' '.join(said.split())[:400]}",
        hint="see `ssdconvert doctor`; with too little memory, close other programs",
        stage="verify",
    )
