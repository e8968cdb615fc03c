"""The command line: parse, call, render, exit code. The only code that prints.

Results go to stdout, progress and errors to stderr; with --json stdout holds one JSON document and
nothing else. Nothing heavy is imported before a command needs it.
"""

import atexit
import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from ssdconvert import __version__
from ssdconvert.cli.bench import bench_command
from ssdconvert.cli.build import build_command, convert_command, export_command
from ssdconvert.cli.cache import cache_group
from ssdconvert.cli.check import check_command
from ssdconvert.cli.detect import detect_command
from ssdconvert.cli.doctor import doctor_command
from ssdconvert.cli.evaluate import evaluate_command
from ssdconvert.cli.fetch import fetch_command
from ssdconvert.cli.log import HANDLER, echo, echo_event, echo_json, log_to_stderr
from ssdconvert.cli.options import color_wanted
from ssdconvert.cli.package import package_command
from ssdconvert.cli.quantize import quantize_command
from ssdconvert.cli.recipes import list_command, schema_command, show_command
from ssdconvert.cli.report import report_command
from ssdconvert.cli.toolchain import toolchain_group
from ssdconvert.cli.verify import verify_command
from ssdconvert.errors import MissingDevice, SsdconvertError, error_document

BUG, INTERRUPTED, MISSING = 70, 130, MissingDevice.exit_code


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="ssdconvert")
@click.pass_context
def cli(context: click.Context) -> None:
    """Convert SSD object detectors to OpenVINO IR, and prove that the IR still is the model.

    Exit codes: 0 done and correct; 1 the model is wrong or could not be shown to be right; 2 usage or
    recipe error; 3 fetch or integrity error; 4 load, export or conversion failed; 5 a device, a
    toolchain or a library that was asked for is missing; 70 a bug in ssdconvert; 130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


for command in (
    list_command,
    show_command,
    schema_command,
    build_command,
    fetch_command,
    export_command,
    convert_command,
    quantize_command,
    verify_command,
    check_command,
    package_command,
    detect_command,
    bench_command,
    evaluate_command,
    report_command,
    doctor_command,
    toolchain_group,
    cache_group,
):
    cli.add_command(command)


def run() -> NoReturn:
    """Run the command line in a process that then ends at once: to unload torch and OpenVINO takes a second."""
    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        atexit._run_exitfuncs()
        try:
            for stream in (sys.stdout, sys.stderr):
                if not stream.closed:
                    stream.flush()
        except OSError:
            raise ended from None  # Python tells of what cannot be written as it ends
        os._exit(ended.code)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    _open_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in given or "--verbose" in given
    log_to_stderr(given)

    def tell(stage: str, message: str, hint: str, code: int, traced: bool = verbose) -> NoReturn:
        """Print a failure in the form that was asked for, and exit."""
        with contextlib.suppress(OSError):  # nobody can be told: the exit code tells it all the same
            _print_failure(stage, message, hint, code, given)
            if traced and HANDLER.as_json:
                echo_event("log", {"level": "debug", "message": traceback.format_exc()})
            elif traced:
                traceback.print_exc()
        sys.exit(code)

    try:
        code = cli.main(given, prog_name="ssdconvert", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except SsdconvertError as error:
        tell(error.stage, error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        program = error.ctx.command_path if error.ctx else "ssdconvert"
        tell("usage", error.format_message(), f"see `{program} --help`", 2)
    except (KeyboardInterrupt, click.Abort):
        hint = "run the same command again: what is done is kept"
        tell("interrupted", "interrupted", hint, INTERRUPTED, traced=False)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone
        sys.exit(141)
    except OSError as error:  # a full disk, a folder that may not be read: nothing that a report would mend
        tell("system", str(error), "make room, or correct the permissions, and run the command again", 2)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError):
            from ssdconvert.versions import extra_with

            if extra := extra_with(error.name or ""):
                message = f"{error.name} is not installed, and this command needs it"
                tell("installation", message, f"pip install 'ssdconvert[{extra}]'", MISSING)
        # anything else is ours to mend
        hint = "this is a bug in ssdconvert: report it with the output of the same command and -v"
        tell("bug", f"{type(error).__name__}: {error}", hint, BUG)


def _print_failure(stage: str, message: str, hint: str, code: int, given: Sequence[str]) -> None:
    document = error_document(stage, message, hint, code)
    if "--json" in given:
        with contextlib.suppress(OSError):  # where stdout takes nothing, stderr tells it
            echo_json(document)
            return
    if HANDLER.as_json:
        echo_event("error", document)
        return
    color = color_wanted(_color_options(given))
    echo(click.style(f"error[{stage}]: ", fg="red", bold=True) + message, err=True, color=color)
    if hint:
        echo(click.style("hint: ", fg="yellow") + hint, err=True, color=color)


def _open_streams() -> None:
    """Give a process without stdin, stdout or stderr an empty one: the next file that it opens would take its place.

    Characters that the terminal's encoding has not are written as escapes.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # libraries write to them without asking whether they are there
    sys.stdout, sys.stderr = sys.stdout or open(1, "w"), sys.stderr or open(2, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _color_options(given: Sequence[str]) -> list[str]:
    """Return the values of --color, also of a command line that could not be parsed."""
    values = []
    for option, following in zip(given, [*given[1:], "auto"], strict=True):
        name, _, value = option.partition("=")
        if name == "--color":
            values.append(value or following)
    return values
