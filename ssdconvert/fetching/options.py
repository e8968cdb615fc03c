"""Where files come from and how, and what a fetched file is."""

from dataclasses import dataclass
from pathlib import Path

from ssdconvert.errors import RecipeError
from ssdconvert.fetching.events import Tell, silent
from ssdconvert.fetching.patience import Patience

PATIENCE = Patience()


@dataclass(frozen=True)
class FetchOptions:
    """Where files come from. `mirror` is a folder or a URL that holds RECIPE/FILE; `jobs` files are fetched at once."""

    cache: Path
    mirror: str | None = None
    offline: bool = False
    locked: bool = False
    patience: Patience = PATIENCE
    jobs: int = 4
    tell: Tell = silent


@dataclass(frozen=True)
class Fetched:
    """A checked file in the cache. `origin` is where this call got it, without secrets; `cache` when it was there."""

    name: str
    path: Path
    sha256: str
    bytes: int
    origin: str
    pinned: bool


def default_cache() -> Path:
    """Return the folder of fetched files for this user; RecipeError where the system knows none."""
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("ssdconvert"))
    except RuntimeError as error:  # a user without HOME whom the system does not know
        raise RecipeError(
            f"there is no folder for the cache: {error}",
            hint="give --cache or SSDCONVERT_CACHE, or set HOME",
            stage="usage",
        ) from error
