"""Inputs of the tiny network, and shipped recipes whose stand-ins are made in a second or two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ssdconvert.catalog import Catalog
from ssdconvert.recipe import Recipe
from ssdconvert.stand_in import make_stand_in

SMALL = ("ssd-demo", "ssdlite320-mobilenet-v3", "ultraface-rfb-320", "ultraface-slim-320")


@pytest.fixture(scope="session")
def images(tiny_ssd: Any) -> Callable[[int], list[NDArray[Any]]]:
    """Makes so many normalised inputs, the same ones every time."""

    def made(count: int) -> list[NDArray[Any]]:
        random = np.random.default_rng(3)
        return [random.normal(0, 1, tiny_ssd.shape).astype(np.float32) for _ in range(count)]

    return made


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Recipe, Path]]:
    """Small recipes by name, each with its stand-in."""
    made = {}
    for name in SMALL:
        recipe = Catalog().find(name).recipe
        folder = tmp_path_factory.mktemp(name)
        make_stand_in(recipe, folder)
        made[name] = (recipe, folder / recipe.source.files[0].name)
    return made


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest, stand_ins: dict[str, tuple[Recipe, Path]]) -> tuple[Recipe, Path]:
    """A small recipe and its stand-in."""
    return stand_ins[request.param]
