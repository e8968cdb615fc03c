"""Options that several commands share, and the settings that they add up to."""

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from ssdconvert.cli.log import FORMATS, echo, echo_event, echo_json, set_log
from ssdconvert.cli.mirror import checked_mirror
from ssdconvert.quantisation.options import DEFAULT_DROP, DEFAULT_SAMPLES, PRESETS, CalibrationOptions

TERMINAL, CHANNELS = ("auto", "always", "never"), ("rgb", "bgr")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """How a command talks. `color` None: as the terminal wants; `recipe`: of which of several it tells."""

    as_json: bool
    quiet: bool
    verbose: bool
    color: bool | None
    log_json: bool = False
    recipe: str = ""

    def result(self, text: str, document: Any) -> None:
        """Print a result on stdout: the document with --json, else the text."""
        if self.as_json:
            echo_json(document)
        elif text and not self.quiet:
            echo(text, color=self.color)

    def progress(self, text: str) -> None:
        """Print a line of progress on stderr."""
        self.event("message", text, {"message": text.strip()})

    def event(self, event: str, text: str, document: dict[str, Any]) -> None:
        """Print on stderr what happened: as text, or as a document with --log-format json."""
        if self.quiet:
            return
        if self.log_json:
            echo_event(event, {**({"recipe": self.recipe} if self.recipe else {}), **document})
        else:
            text = f"{self.recipe}: {text.strip()}" if self.recipe else text
            echo(text, err=True, color=self.color)


def output_options(command: Command) -> Command:
    """Add --json, -q, -v and --color; the command gets them as `settings`."""
    color = click.option("--color", type=click.Choice(TERMINAL), default="auto", show_default=True)
    return _with_settings(color(command))


def detect_output_options(command: Command) -> Command:
    """Add what `output_options` adds; --color takes rgb and bgr too, which the command gets as `channels`."""

    @click.option(
        "--color", "colors", type=click.Choice([*TERMINAL, *CHANNELS]), multiple=True,
        help="Of the output: auto, always, never; of pictures fed to MODEL: rgb, bgr; may be given for both.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(colors: tuple[str, ...], **others: Any) -> Any:
        channels = [color for color in colors if color in CHANNELS]
        return command(channels=channels[-1] if channels else None, **others)

    # the choice for the terminal is read from `colors` as well
    return _with_settings(wrapped)  # type: ignore[return-value]


def _with_settings(command: Command) -> Command:
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there.")
    @click.option("-q", "--quiet", is_flag=True, help="Only errors and the exit code.")
    @click.option("-v", "--verbose", is_flag=True, help="More on stderr; a traceback with an error.")
    @click.option(
        "--log-format", type=click.Choice(FORMATS), default="text", show_default=True,
        help="Of progress and warnings on stderr; json: one object a line.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(as_json: bool, quiet: bool, verbose: bool, log_format: str, **others: Any) -> Any:
        log_json = log_format == "json"
        set_log(quiet, verbose, log_json)
        told = others.get("colors") or (others.pop("color", "auto"),)
        settings = Settings(as_json, quiet, verbose, color_wanted(told), log_json)
        return command(settings=settings, **others)

    return wrapped  # type: ignore[return-value]


def color_wanted(choices: Sequence[str]) -> bool | None:
    """Return whether output is coloured, for values of --color, the last first; None: as the terminal wants."""
    choice = next((one for one in reversed(choices) if one in TERMINAL), "auto")
    if choice == "auto":
        return False if os.environ.get("NO_COLOR") else None
    return choice == "always"


def recipe_options(command: Command) -> Command:
    """Add --recipes; the command gets a `catalog`."""

    @click.option(
        "--recipes",
        type=click.Path(path_type=Path),
        multiple=True,
        envvar="SSDCONVERT_RECIPES",
        help="Folder of more recipes; repeatable.",
    )
    @functools.wraps(command)
    def wrapped(recipes: tuple[Path, ...], **others: Any) -> Any:
        from ssdconvert.catalog import Catalog

        return command(catalog=Catalog(recipes), **others)

    return wrapped  # type: ignore[return-value]


def cache_option(command: Command) -> Command:
    """Add --cache; the command gets it as a path."""

    @click.option(
        "--cache",
        type=click.Path(path_type=Path),
        envvar="SSDCONVERT_CACHE",
        help="Folder of fetched files.  [default: the user's cache folder]",
    )
    @functools.wraps(command)
    def wrapped(cache: Path | None, **others: Any) -> Any:
        from ssdconvert.fetching.options import default_cache

        return command(cache=cache.expanduser() if cache else default_cache(), **others)

    return wrapped  # type: ignore[return-value]


def settings_options(command: Command) -> Command:
    """Add -c and -l, what OpenVINO is told beside the model; the command gets `device_config` and `extensions`."""
    config = click.option(
        "-c",
        "--device-config",
        "device_config",
        metavar="KEY=VALUE|FILE",
        multiple=True,
        help="Setting of the devices, or a file of such: lines, JSON, XML of kernels; repeatable.",
    )
    return config(extension_option(command))


def fetch_options(command: Command) -> Command:
    """Add --mirror, --offline, --locked, --retries, --timeout and --cache; the command gets them as `fetching`."""

    @cache_option
    @click.option(
        "--mirror", callback=checked_mirror, envvar="SSDCONVERT_MIRROR", metavar="DIR|URL",
        help="Folder or URL that holds RECIPE/FILE; tried first.",
    )  # fmt: skip
    @click.option("--offline", is_flag=True, envvar="SSDCONVERT_OFFLINE", help="Never use the network.")
    @click.option("--locked", is_flag=True, help="Refuse files for which the recipe has no digest.")
    @click.option(
        "--retries", type=click.IntRange(0, 100), default=3, show_default=True,
        help="How often in a row an address may fail before the next is tried.",
    )  # fmt: skip
    @click.option(
        "--timeout", type=click.FloatRange(0, 3600, min_open=True), default=30.0, show_default=True, metavar="SECONDS",
        help="How long a server may send nothing.",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        cache: Path,
        mirror: str | None,
        offline: bool,
        locked: bool,
        retries: int,
        timeout: float,
        **others: Any,
    ) -> Any:
        from ssdconvert.fetching.options import FetchOptions
        from ssdconvert.fetching.patience import Patience

        patience = Patience(retries + 1, timeout)
        return command(fetching=FetchOptions(cache, mirror, offline, locked, patience), **others)

    return wrapped  # type: ignore[return-value]


extension_option = click.option(
    "-l",
    "--extension",
    "extensions",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Library with more operations; repeatable.",
)
stand_in_option = click.option(
    "--stand-in",
    is_flag=True,
    help="Make the original from a seed instead of fetching it: to set up and test, never to deploy.",
)
output_folder_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the build.  [default: build/NAME]",
)
precision_option = click.option(
    "--precision",
    "precisions",
    type=click.Choice(["FP32", "FP16", "INT8"], case_sensitive=False),
    multiple=True,
    help="Weight precision; repeatable.  [default: the recipe's]",
)
tail_option = click.option(
    "--tail",
    type=click.Choice(["nms", "detection-output", "heads"]),
    default="nms",
    show_default=True,
    help="What follows the heads: bboxes, labels and scores; one output of DetectionOutput; or nothing.",
)
converter_option = click.option(
    "--converter",
    type=click.Choice(["mo", "openvino"]),
    default="mo",
    show_default=True,
    help="What makes IR of ONNX: Model Optimizer, or openvino.convert_model in the toolchain ov-2026.",
)
bake_option = click.option(
    "--bake",
    type=click.Choice(["values", "image"]),
    default="values",
    show_default=True,
    help="What is inside: order of channels, mean and scale; with image the resize too, of u8 pictures of any size "
    "(needs --converter openvino).",
)


def _a_number(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Refuse nan, which click takes for one in every range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not a number", context, option)
    return value


def calibration_options(command: Command) -> Command:
    """Add --calibration, --samples, --preset and --max-drop; the command gets them as `calibration`."""

    @click.option(
        "--calibration", "source", metavar="DIR|COCO.json",
        help="Pictures to quantise on, with annotations where there are some.  [default: the recipe's]",
    )  # fmt: skip
    @click.option(
        "--samples", type=click.IntRange(1), default=DEFAULT_SAMPLES, show_default=True,
        help="How many of them; as many others measure what it costs.",
    )  # fmt: skip
    @click.option(
        "--preset", type=click.Choice(PRESETS), default=PRESETS[0], show_default=True,
        help="Of activations: mixed gives signed ones a zero point, performance none.",
    )  # fmt: skip
    @click.option(
        "--max-drop", type=click.FloatRange(0, 100), callback=_a_number, metavar="POINTS",
        help=f"How much lower mAP may be than in FP32; needs annotations.  [default: {DEFAULT_DROP}]",
    )  # fmt: skip
    @functools.wraps(command)
    def wrapped(source: str | None, samples: int, preset: str, max_drop: float | None, **others: Any) -> Any:
        return command(calibration=CalibrationOptions(source, samples, preset, max_drop), **others)

    return wrapped  # type: ignore[return-value]


device_option = click.option(
    "--device", "devices", multiple=True, help="OpenVINO device; repeatable.  [default: CPU]"
)
toolchain_option = click.option(
    "--toolchain",
    "toolchains",
    multiple=True,
    metavar="NAME",
    help="Run the IRs in this toolchain's OpenVINO too (see `ssdconvert toolchain list`); repeatable.",
)
require_device_option = click.option(
    "--require-device",
    "required",
    multiple=True,
    help="A device that must be there, else exit 5; repeatable.",
)
