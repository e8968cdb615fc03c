"""Feeds a model under its own input's name, whatever others call it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ssdconvert.runners import Arrays, Runner
from ssdconvert.runners.inner_tensors import InnerTensor, InnerTensors

Feeds = Mapping[str, NDArray[Any]]


class FedAs:
    """`runner`, whose only input is `input_name`; `feeds` may call it anything."""

    def __init__(self, runner: Runner, input_name: str) -> None:
        self.runner, self.input_name = runner, input_name
        self.runtime, self.executed_on = runner.runtime, runner.executed_on
        self.execution_precision = runner.execution_precision

    def run(self, feeds: Feeds) -> Arrays:
        """Run on the single entry of `feeds`."""
        (image,) = feeds.values()
        return self.runner.run({self.input_name: image})


@dataclass(frozen=True)
class TensorsFedAs:
    """`tensors` of a model whose only input is `input_name`; feeds may call it anything."""

    tensors: InnerTensors
    input_name: str

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return its tensors in order of execution."""
        return self.tensors.listed(self._renamed(feeds))

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return these tensors by name."""
        return self.tensors.run(names, self._renamed(feeds))

    def _renamed(self, feeds: Feeds) -> Feeds:
        (image,) = feeds.values()
        return {self.input_name: image}
