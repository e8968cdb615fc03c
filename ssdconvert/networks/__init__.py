"""Networks that a recipe can name: one module a family, each with a function `build`.

`build(height, width, classes, **options)` returns a module whose `forward(image [1, 3, H, W])`
gives class logits [1, P, C] and box offsets [1, P, 4], and which tells its `default_boxes()`
(`centres` [P, 4]), its `variances` and its `largest_size_offset` (see `ssdconvert.ssd.boxes.decode`).
`classes` counts the background; `options` come from the recipe. Modules with a leading underscore
hold what families share.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssdconvert.errors import RecipeError

if TYPE_CHECKING:
    import torch


def families() -> list[str]:
    """Return the names that a recipe's `source.network` may have."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def build_network(
    family: str, height: int, width: int, classes: int, options: Mapping[str, object]
) -> "torch.nn.Module":
    """Return a network with untrained weights.

    Raises RecipeError for a family, an option or a size that does not exist.
    """
    if family not in families():
        raise RecipeError(
            f"there is no network {family!r}", hint=f"source.network is one of {', '.join(families())}"
        )
    build = importlib.import_module(f"{__name__}.{family}").build
    known = [
        name for name in inspect.signature(build).parameters if name not in ("height", "width", "classes")
    ]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RecipeError(
            f"network {family} has no option {unknown[0]!r}",
            hint=f"source.options may hold: {', '.join(known) or 'nothing'}",
        )
    try:
        network: torch.nn.Module = build(height, width, classes, **options)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"network {family}: {error}", hint="correct input.shape or source.options"
        ) from error
    return network
