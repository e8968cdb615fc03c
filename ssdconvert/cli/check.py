"""`check`: a build or an archive that somebody got: is it what was verified?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssdconvert.cli.options import Settings, device_option, output_options, require_device_option
from ssdconvert.errors import FetchError, SsdconvertError, WrongModel

if TYPE_CHECKING:
    from ssdconvert.release.check import Checked
    from ssdconvert.release.reading import Problem

MOST_SHOWN = 20  # problems


@click.command("check", short_help="Is a build, or an archive, what was verified?")
@click.argument("path", metavar="DIR|ARCHIVE", type=click.Path(path_type=Path))
@click.option("--run", "wanted", is_flag=True, help="Run the models on this machine's devices, too.")
@device_option
@require_device_option
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="PUBLIC_KEY", help="It must be signed by this key's owner."
)  # fmt: skip
@output_options
def check_command(
    path: Path,
    wanted: bool,
    devices: Sequence[str],
    required: Sequence[str],
    key: Path | None,
    settings: Settings,
) -> None:
    """Digest every file again and hold it against each document beside it; no network, and nothing is written.

    DIR is the folder of a build or an unpacked archive. With --run each IR is judged here by what the original said
    when it was verified, without the original. Exits with 3 when anything changed, with 1 when the model is wrong.
    """
    from ssdconvert.release.check import check

    if not wanted and (devices or required):
        raise click.UsageError("--device and --require-device say where models are run: give --run, too")
    checked = check(path, key)
    if wanted and not checked.problems:
        checked = _run(checked, devices, required)
    settings.result(_text(checked), checked.to_json())
    error = _failure(checked)
    if error and settings.as_json:
        click.get_current_context().exit(error.exit_code)
    if error:
        raise error


def _run(checked: "Checked", devices: Sequence[str], required: Sequence[str]) -> "Checked":
    from ssdconvert.api import machines_asked_for, named_devices
    from ssdconvert.release.check import run_here

    return run_here(checked, machines_asked_for(devices, required), named_devices(required))


def _failure(checked: "Checked") -> SsdconvertError | None:
    """Return the failure that a result stands for."""
    if checked.problems:
        count = len(checked.problems)
        return FetchError(
            f"{checked.path} is not what was verified: {_told(checked.problems[0])}"
            + (f", and {count - 1} more" if count > 1 else ""),
            hint="do not deploy it: get it again, or build it again",
            stage="check",
        )
    if not checked.verified_when_built:
        return WrongModel(
            f"{checked.path} holds a model that was not shown to be right when it was built",
            hint="do not deploy it; report.json has every check",
            stage="check",
        )
    if checked.run is not None and checked.run.verdict != "pass":
        return WrongModel(
            f"{checked.recipe} is {checked.run.verdict} on this machine: {checked.run.reason}",
            hint="do not deploy it here; --json prints every check",
            stage="check",
        )
    return None


def _text(checked: "Checked") -> str:
    size = sum(file["bytes"] or 0 for file in checked.files)
    verdict = click.style(checked.verdict, fg="green" if checked.verdict == "pass" else "red", bold=True)
    lines = [f"{checked.recipe or checked.path}: {verdict}"]
    if checked.stand_in:
        lines.append("  STAND-IN: the weights come from a seed and detect nothing real; do not deploy it")
    lines.append(f"  {len(checked.files)} files, {size / 1e6:.1f} MB, digested and compared")
    lines.append(f"  verified when built: {'yes' if checked.verified_when_built else 'no'}")
    lines.append(f"  signature: {checked.signature}")
    lines += [
        f"  {click.style('warning', fg='yellow')}: {_told(one)}" for one in checked.warnings[:MOST_SHOWN]
    ]
    lines += [f"  {click.style('problem', fg='red')}: {_told(one)}" for one in checked.problems[:MOST_SHOWN]]
    for name, found in (("warnings", checked.warnings), ("problems", checked.problems)):
        if len(found) > MOST_SHOWN:
            lines.append(f"  and {len(found) - MOST_SHOWN} more {name}: --json prints all")
    if checked.run is not None:
        from ssdconvert.cli.render import verification_text

        lines.append(verification_text(checked.run))
    return "\n".join(lines)


def _told(problem: "Problem") -> str:
    return f"{problem.path}: {problem.problem}"
