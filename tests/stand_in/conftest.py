"""Recipes whose stand-ins are made in a second or two."""

from pathlib import Path

import pytest

from ssdconvert.catalog import Catalog
from ssdconvert.recipe import Recipe
from ssdconvert.stand_in import make_stand_in

SMALL = ("ssd-demo", "ssdlite320-mobilenet-v3", "ultraface-rfb-320", "ultraface-slim-320")


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
