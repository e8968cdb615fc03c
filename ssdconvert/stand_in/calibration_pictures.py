"""The pictures on which the weights of stand-ins are scaled."""

from ssdconvert.pictures import EMBEDDED, read_picture
from ssdconvert.recipe import Recipe
from ssdconvert.resources import SCHEME, package_file
from ssdconvert.ssd.preprocess import Pixels

ALL = tuple(f"package:images/{name}.jpg" for name in ("portrait", "shapes-1", "shapes-2", "shapes-3"))


def pictures_of(recipe: Recipe) -> list[Pixels]:
    """Return the pictures that a recipe takes from the package, or those that are embedded for all."""
    references = [name for name in recipe.pictures if name.startswith(SCHEME)] or EMBEDDED
    return [read_picture(package_file(reference)) for reference in references]


def all_pictures() -> list[Pixels]:
    """Return every picture in the package, for heads that are tuned without looking at a recipe's."""
    return [read_picture(package_file(reference)) for reference in ALL]
