"""Addresses of files: URLs, plain paths and `package:` references, and how they are shown without secrets."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from ssdconvert.recipe import Recipe
from ssdconvert.recipe_source import File
from ssdconvert.resources import SCHEME, package_file
from ssdconvert.url_secrets import redacted

WEB = ("http:", "https:")


def is_web(address: str) -> bool:
    """Whether the network is needed for an address."""
    return address.lower().startswith(WEB)


def local_path(address: str) -> Path:
    """Return the path that an address off the web stands for."""
    if address.startswith(SCHEME):
        return package_file(address)
    if address.lower().startswith("file:"):
        from urllib.request import url2pathname  # which loads http and ssl

        return Path(url2pathname(urlsplit(address).path))  # of Windows: file:///C:/model.onnx
    return Path(address)


def shown(address: str) -> str:
    """Return an address for people, logs and manifests: without user, password and tokens."""
    return redacted(address) if "://" in address else address


def in_mirror(mirror: str, recipe: str, name: str) -> str:
    """Return the address of a file in a mirror, which is a folder or a URL that holds RECIPE/FILE."""
    if "://" in mirror:
        address, mark, query = mirror.replace(" ", "%20").partition("?")
        return f"{address.rstrip('/')}/{quote(recipe)}/{quote(name)}{mark}{query}"
    return str(Path(mirror) / recipe / name)


def origins(recipe: Recipe, file: File, mirror: str | None) -> Iterator[str]:
    """Yield where to look: the mirror first, then the recipe's URLs."""
    if mirror:
        yield in_mirror(mirror, recipe.name, file.name)
    yield from file.urls
