"""What the modules of a network compute, by the names that the tensors have in its exported ONNX graph.

PyTorch's tensors have no names. The TorchScript exporter names a node after the modules that were being
called, such as /base_net.7/branch0/branch0.0/conv/Conv: the same names follow from watching the calls. A
batch normalisation that the exporter folded into the convolution before it has no node of its own, so what it
computes has the name of that convolution's output.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ssdconvert.runners import Arrays
from ssdconvert.runners.inner_tensors import InnerTensor

if TYPE_CHECKING:
    import torch

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TorchTensors:
    """`network` in evaluation mode, whose outputs are `heads` in order, and the graph at `exported` made of it."""

    network: "torch.nn.Module"
    exported: Path
    heads: Sequence[str]

    def listed(self, feeds: Feeds) -> list[InnerTensor]:
        """Return the outputs of modules and the heads, in the order of the graph's nodes."""
        import onnx

        nodes = onnx.load(self.exported, load_external_data=False).graph.node
        sizes: dict[str, int] = {}

        def note(name: str, tensor: "torch.Tensor") -> None:
            sizes[name] = tensor.numel() * tensor.element_size()

        self._watch(note, feeds)
        return [
            InnerTensor(node.output[0], node.op_type, sizes[node.output[0]])
            for node in nodes
            if node.output[0] in sizes
        ]

    def run(self, names: Sequence[str], feeds: Feeds) -> Arrays:
        """Return these tensors, copied before a module that works in place changes them."""
        found: Arrays = {}

        def keep(name: str, tensor: "torch.Tensor") -> None:
            if name in names:
                found[name] = tensor.numpy().copy()
            elif len(found) == len(names):
                raise _Enough

        with contextlib.suppress(_Enough):
            self._watch(keep, feeds)
        return found

    def _watch(self, see: Callable[[str, "torch.Tensor"], None], feeds: Feeds) -> None:
        """Run the network and show each tensor; the last one shown under a name is what it names."""
        import torch

        watch = _Watch(_last_tensors(self.exported), see)
        hooks = []
        for path, module in self.network.named_modules():
            if path:
                hooks.append(module.register_forward_pre_hook(watch.enter(_scope(path))))
                hooks.append(module.register_forward_hook(watch.leave))
        (image,) = feeds.values()
        try:
            with torch.inference_mode():
                outputs = self.network(torch.from_numpy(image))
        finally:
            for hook in hooks:
                hook.remove()
        for name, tensor in zip(self.heads, outputs, strict=True):
            see(name, tensor)


class _Enough(Exception):
    """All that is wanted of a run has been seen."""


class _Watch:
    """Follows the calls of modules. `tensors` are the names of what scopes compute."""

    def __init__(self, tensors: Mapping[str, str], see: Callable[[str, "torch.Tensor"], None]) -> None:
        self.tensors, self.see = tensors, see
        self.scopes = [""]
        self.calls: dict[str, int] = {}
        self.last: tuple[str, Any] = ("", None)

    def enter(self, name: str) -> Callable[..., None]:
        """Return the hook that runs before a module of this name."""

        def hook(module: Any, inputs: Any) -> None:
            scope = f"{self.scopes[-1]}/{name}"
            count = self.calls[scope] = self.calls.get(scope, -1) + 1
            self.scopes.append(f"{scope}_{count}" if count else scope)

        return hook

    def leave(self, module: Any, inputs: Any, output: Any) -> None:
        """Show what a module returned; it is the hook that runs after it."""
        import torch

        name = self.tensors.get(self.scopes.pop())
        if name is None and inputs and inputs[0] is self.last[1]:
            name = self.last[0]
        if name and isinstance(output, torch.Tensor):
            self.see(name, output)
            self.last = (name, output)


def _scope(path: str) -> str:
    """Return the exporter's name for a module: the end of its path, from the last part that is no number."""
    parts = path.split(".")
    start = max((index for index, part in enumerate(parts) if not part.isnumeric()), default=0)
    return ".".join(parts[start:])


def _last_tensors(exported: Path) -> dict[str, str]:
    """Return the name of the last tensor that is computed in each scope."""
    import onnx

    last: dict[str, str] = {}
    for node in onnx.load(exported, load_external_data=False).graph.node:
        scope = node.name
        while "/" in scope:
            scope = scope.rpartition("/")[0]
            last[scope] = node.output[0]
    return last
