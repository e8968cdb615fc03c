"""The licences of models: texts of those that shipped recipes name, from spdx.org/licenses.

Whose copyright it is, no recipe says: the placeholders of the texts stay, and LICENSE says where the model is at home.
"""

from ssdconvert.recipe import Recipe
from ssdconvert.resources import package_file

SPDX = ("Apache-2.0", "BSD-3-Clause", "MIT")


def licence_text(recipe: Recipe) -> str:
    """Return what LICENSE holds: which licence the recipe names, where the model is at home, the text if it is here."""
    home = recipe.homepage or "the place that recipe.yaml names for its files"
    head = f"{recipe.name}: the licence of these weights, as their recipe names it, is {recipe.licence}.\n"
    if recipe.licence not in SPDX:
        return f"{head}Its text is not part of ssdconvert. It is with the model: {home}\n"
    text = package_file(f"package:release/licences/{recipe.licence}.txt").read_text("utf-8")
    return f"{head}Whose copyright it is, is told with the model: {home}\n\n{text}"


def licence_warning(recipe: Recipe) -> str:
    """Return what to tell of a licence whose text is not here; empty for the others."""
    if recipe.licence in SPDX:
        return ""
    return f"the text of the licence {recipe.licence} is not part of ssdconvert: LICENSE says where it is"
