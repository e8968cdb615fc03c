"""What a build without verification costs beside the three commands that a user would type.

    python benchmarks/build_cost.py [RECIPE...] [--runs 3] [--mirror DIR]

The user's side is a script that loads the checkpoint into the network and calls torch.onnx.export, then the
commands `onnxsim` and `mo` (FP32, with channel reversal, mean and scale). The other is `ssdconvert build
--no-verify --precision FP32`, and the same with FP16 beside it, each in a fresh process and a fresh folder. All take
turns. The files are in the page cache; checkpoints that no mirror has are made from a seed beforehand. Time is the
sum over the user's commands, memory the largest of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ssdconvert.catalog import Catalog
from ssdconvert.fetching.options import FetchOptions
from ssdconvert.recipe import Recipe
from ssdconvert.stages.fetch import fetch
from ssdconvert.stand_in import make_stand_in

RECIPES = ("ssd-demo", "ultraface-rfb-320", "ssd-resnet34-1200")
EXPORT = """
import sys, torch
from {module} import build
network = build({height}, {width}, {classes}, **{options})
network.load_state_dict(torch.load("checkpoint.pth", map_location="cpu", weights_only=True))
network.eval()
torch.onnx.export(network, (torch.zeros(1, 3, {height}, {width}),), "model.onnx", dynamo=False, opset_version={opset},
                  input_names=["{name}"], output_names=["scores", "boxes"])
"""


@dataclass
class Cost:
    """Of one run: seconds of wall and CPU time, largest resident memory in bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, max(self.peak, other.peak)
        )


def cost_of(command: list[str], folder: Path) -> Cost:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed: {said.decode(errors='replace')}")
    return Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def save_state_dict(recipe: Recipe, checkpoint: Path, target: Path) -> None:
    """Save a checkpoint of any form as the plain state_dict that torch.load reads: the user's script needs no more."""
    import torch

    from ssdconvert.stages.load import load

    torch.save(load(recipe, {checkpoint.name: checkpoint}).model.state_dict(), target)


def commands_of_a_user(recipe: Recipe) -> list[list[str]]:
    spec, source, scripts = recipe.input, recipe.source, Path(sysconfig.get_path("scripts"))
    height, width = spec.shape[2:]
    script = EXPORT.format(
        module=f"ssdconvert.networks.{source.network}", height=height, width=width, classes=recipe.classes,  # type: ignore[union-attr]
        options=dict(source.options), opset=recipe.opset, name=spec.name,  # type: ignore[union-attr]
    )  # fmt: skip
    mo = [str(scripts / "mo"), "--input_model", "simplified.onnx", "--compress_to_fp16=False"]
    mo += [f"--mean_values={list(spec.mean)}", f"--scale_values={list(spec.scale)}"]
    mo += ["--reverse_input_channels"] if spec.color.model != spec.color.converted else []
    return [
        [sys.executable, "-c", script],
        [str(scripts / "onnxsim"), "model.onnx", "simplified.onnx"],
        mo,
    ]


def measure(name: str, runs: int, mirror: str | None, folder: Path) -> dict[str, list[Cost]]:
    recipe = Catalog().find(name).recipe
    own_mirror, cache = folder / "mirror", folder / "cache"
    (own_mirror / name).mkdir(parents=True)
    if (
        name != "ssd-demo"
        and mirror
        and all((Path(mirror) / name / f.name).is_file() for f in recipe.source.files)
    ):
        own_mirror = Path(mirror)
    elif name != "ssd-demo":
        make_stand_in(recipe, own_mirror / name)
    (fetched,) = fetch(recipe, FetchOptions(cache, str(own_mirror)))
    costs: dict[str, list[Cost]] = {"user": [], "FP32": [], "FP32 and FP16": []}
    for run in range(runs):
        place = folder / str(run)
        place.mkdir()
        save_state_dict(recipe, fetched.path, place / "checkpoint.pth")
        costs["user"].append(sum((cost_of(c, place) for c in commands_of_a_user(recipe)), Cost()))
        for precisions in (["FP32"], ["FP32", "FP16"]):
            given = [word for precision in precisions for word in ("--precision", precision)]
            build = [
                sys.executable,
                "-m",
                "ssdconvert",
                "build",
                name,
                "--no-verify",
                "--offline",
                "-q",
                *given,
            ]
            output = place / "-".join(precisions)
            build += ["--cache", str(cache), "--output", str(output)]
            costs[" and ".join(precisions)].append(cost_of(build, place))
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES, metavar="RECIPE")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--mirror", default=os.environ.get("SSDCONVERT_MIRROR"))
    given = parser.parse_args()
    print(f"Medians of {given.runs}; ratios are medians over the runs.\n")
    print("| recipe | | wall | CPU | peak memory | wall ratio | CPU ratio | memory ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.recipes:
        with tempfile.TemporaryDirectory() as folder:
            costs = measure(name, given.runs, given.mirror, Path(folder))
        for side, own in costs.items():
            middle = [
                statistics.median(getattr(cost, part) for cost in own)
                for part in ("seconds", "cpu_seconds", "peak")
            ]
            ratios = [
                statistics.median(
                    getattr(a, part) / getattr(b, part) for a, b in zip(own, costs["user"], strict=True)
                )
                for part in ("seconds", "cpu_seconds", "peak")
            ]
            told = "three commands" if side == "user" else f"`build --no-verify`, {side}"
            figures = f"{middle[0]:.1f} s | {middle[1]:.1f} s | {middle[2] / 1e6:.0f} MB"
            print(f"| `{name}` | {told} | {figures} | {' | '.join(f'{r:.2f}' for r in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
