"""Writes prototxt files, the text form of Caffe's networks."""

from collections.abc import Sequence

CHANNELS_LAST = "permute_param { order: 0 order: 2 order: 3 order: 1 }"  # of SSD's heads
CHANNELS_JOINED = "concat_param { axis: 1 }"


def layer(name: str, kind: str, bottoms: Sequence[str], parameters: str = "", top: str = "") -> str:
    """Return a layer in one line; its top has its name unless another is given."""
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    return f'layer {{ name: "{name}" type: "{kind}" {listed} top: "{top or name}" {parameters} }}'


def indented(text: str) -> str:
    """Lay out protobuf's text format, without blanks in its strings, a field a line."""
    lines: list[str] = []
    depth = 0
    words = iter(text.split())
    for word in words:
        if word == "}":
            depth -= 1
            lines.append("  " * depth + word)
            continue
        following = next(words)
        lines.append("  " * depth + f"{word} {following}")
        depth += following == "{"
    return "\n".join(lines) + "\n"
