"""The network up to its heads, which is quantised, and the rest of an IR, which is not.

Decoding and suppression compare scores with a threshold and boxes with each other: eight bits would move both
by more than the network's own rounding does, and there is no time to be won in them. NNCF's ignored scope
names operations; cut off, they cannot be quantised whatever they are called, and layers can be ranked by what
they do to the heads.

The convolutions that give the heads are quantised as all others: left in FP32 they won ssd-demo 0.03 points of mAP
and UltraFace 2 dB of its scores, nothing of its boxes. Where they do cost most, they are among the first to go back.
"""

from collections.abc import Sequence
from typing import Any

from ssdconvert.errors import ConversionError


def up_to_heads(model: Any, names: Sequence[str]) -> Any:
    """Return a copy of an openvino.Model that ends in the tensors of these names."""
    import openvino

    copy = model.clone()
    ports = _ports(copy, names)
    return openvino.Model(
        [ports[name] for name in names], copy.get_parameters(), model.get_friendly_name()
    ).clone()


def with_the_rest(heads: Any, model: Any, names: Sequence[str]) -> Any:
    """Return an openvino.Model that computes as `heads` up to the tensors of these names, and goes on as `model`."""
    import openvino

    rest = model.clone()
    front = heads.clone()
    results = {name: port.get_node() for port in front.outputs for name in port.get_names() if name in names}
    readers = {name: list(port.get_target_inputs()) for name, port in _ports(rest, names).items()}
    for name in names:
        computed = results[name].input_value(0)
        for reader in readers[name]:
            reader.replace_source_output(computed)
        computed.get_tensor().add_names({name})
    return openvino.Model(rest.get_results(), front.get_parameters(), model.get_friendly_name())


def _ports(model: Any, names: Sequence[str]) -> dict[str, Any]:
    found = {
        name: port
        for node in model.get_ordered_ops()
        for port in node.outputs()
        for name in port.get_names()
        if name in names and node.get_type_name() != "Result"
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise ConversionError(
            f"{model.get_friendly_name()} has no tensor {', '.join(missing)}, where its heads end",
            hint="report this as a bug, with the recipe",
            stage="quantize",
        )
    return found
