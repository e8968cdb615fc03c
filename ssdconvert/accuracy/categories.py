"""Which category of a data set each label of a model is: by name, so that coco-80 finds COCO's 90 ids by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssdconvert.accuracy.data_set import listed
from ssdconvert.errors import RecipeError

UNUSED = "N/A"  # what torchvision calls COCO's ids that no category has
# names that COCO writes differently from VOC
COCO_NAMES = {
    "aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip


@dataclass(frozen=True)
class Mapped:
    """Category ids by label (1 the first class); names of labels and of categories that have no counterpart."""

    ids: Mapping[int, int]
    labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


def mapped(names: Sequence[str], categories: Mapping[int, str], allow_unmapped: bool = False) -> Mapped:
    """Return the categories (names by id) of labels 1, 2, ... that have these names.

    Case, spaces, hyphens and underscores are passed over, and VOC's names are taken for COCO's. Raises RecipeError
    where two labels or two categories are the same, where nothing maps, and, unless `allow_unmapped`, for
    what has no counterpart.
    """
    labels = _by_key({number: name for number, name in enumerate(names, start=1) if name != UNUSED}, "labels")
    theirs = _by_key(categories, "categories")
    ids = {label: theirs[key] for key, label in labels.items() if key in theirs}
    found = Mapped(
        ids,
        tuple(names[label - 1] for key, label in labels.items() if key not in theirs),
        tuple(categories[number] for key, number in theirs.items() if key not in labels),
    )
    if not ids or (not allow_unmapped and (found.labels or found.categories)):
        parts = [f"without a category: {listed(found.labels)}"] if found.labels else []
        parts += [f"without a label: {listed(found.categories)}"] if found.categories else []
        raise RecipeError(
            f"{len(ids)} of {len(labels)} labels of the model are categories of the data set; {'; '.join(parts)}",
            hint="--allow-unmapped leaves these out of the mean"
            if ids
            else "give the data set that the model was trained for, or name the classes as it does",
            stage="data-set",
        )
    return found


def _by_key(names: Mapping[int, str], what: str) -> dict[str, int]:
    keys: dict[str, int] = {}
    for number, name in names.items():
        key = _key(name)
        if key in keys:
            raise RecipeError(
                f"two {what} are the same class: {names[keys[key]]!r} and {name!r}",
                hint="give each class one name",
                stage="data-set",
            )
        keys[key] = number
    return keys


def _key(name: str) -> str:
    plain = "".join(letter for letter in name.casefold() if letter not in " -_")
    return COCO_NAMES.get(plain, plain)
