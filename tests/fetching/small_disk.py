"""A disk of a few megabytes, made without being root: a tmpfs in a namespace, and fetches that run in there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ssdconvert.recipe import Recipe

INSIDE = """
import json, logging, subprocess, sys
from pathlib import Path
from ssdconvert.errors import FetchError
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch

told, logged = [], []
handler = logging.Handler()
handler.emit = lambda record: logged.append(record.getMessage())
logging.getLogger().addHandler(handler)

def answer(order):
    if "mount" in order:
        return subprocess.run(["mount", *order["mount"]], capture_output=True, text=True).stderr
    told.clear(), logged.clear()
    recipe, cache = Recipe.model_validate_json(order["recipe"]), Path(order["cache"])
    try:
        (one,) = fetch(recipe, FetchOptions(cache, tell=lambda event: told.append(event.kind), **order["options"]))
    except FetchError as error:
        return error.to_json() | {"told": told, "logged": logged}
    return {"sha256": one.sha256, "path": str(one.path), "origin": one.origin, "told": told, "logged": logged}

for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
"""


class NoDisk(Exception):
    """This machine does not let us mount one."""


class SmallDisk:
    """A tmpfs at `point`, which only one process sees; `path` leads others there, to look."""

    def __init__(self, point: Path, options: str) -> None:
        self.point = point
        refused = []
        for rights in ("-rm", "-m"):  # as root of a namespace of users; as root
            try:
                self.process = subprocess.Popen(
                    ["unshare", rights, sys.executable, "-c", INSIDE],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
            except FileNotFoundError as error:
                raise NoDisk("unshare is not there") from error
            try:
                problem = self._answer(mount=["-t", "tmpfs", "-o", options, "none", str(point)])
            except (BrokenPipeError, ValueError):
                problem = self.process.communicate()[1]
            if not problem:
                self.path = Path(f"/proc/{self.process.pid}/root{point}")
                return
            refused.append(problem.strip())
            self.close()
        raise NoDisk("; ".join(refused))

    def remount(self, options: str) -> None:
        """Change what the disk was mounted with."""
        assert not self._answer(mount=["-o", f"remount,{options}", str(self.point)])

    def refusal(self, recipe: Recipe, cache: str = "cache", **options: Any) -> dict[str, Any]:
        """Return the error document of a fetch into a folder of the disk, what it was told and what it logged."""
        ended = self._fetch(recipe, cache, options)
        assert ended["error"]["exit_code"] == 3
        return ended

    def fetched(self, recipe: Recipe, cache: str = "cache", **options: Any) -> dict[str, Any]:
        """Return the digest, path and origin of a file, what the fetch was told and what it logged."""
        ended = self._fetch(recipe, cache, options)
        assert "error" not in ended, ended
        assert ended["path"] == str(self.point / cache / recipe.name / "model.onnx")
        return ended

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _fetch(self, recipe: Recipe, cache: str, options: dict[str, Any]) -> Any:
        text = recipe.model_dump_json(by_alias=True)
        return self._answer(recipe=text, cache=str(self.point / cache), options=options)

    def _answer(self, **order: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())
