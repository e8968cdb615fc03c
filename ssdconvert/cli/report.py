"""`report`: one page and one JUnit file for several builds."""

from collections.abc import Sequence
from pathlib import Path

import click

from ssdconvert.cli.options import Settings, output_options


@click.command("report", short_help="One page and one JUnit file for several builds.")
@click.argument("folders", metavar="BUILD_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of index.html and junit.xml; archives are looked for as NAME.tar there, then in release/.",
)
@output_options
def report_command(folders: Sequence[Path], output: Path, settings: Settings) -> None:
    """Write index.html and junit.xml for builds that are there, or should be.

    Nothing is built and nothing verified: BUILD_DIR is a folder that `build` or `verify` has made. Exits with 1 when
    any of them is not shown to be right, or is not there at all; both files are written all the same.
    """
    from ssdconvert.cli.render import coloured
    from ssdconvert.errors import WrongModel
    from ssdconvert.report.builds import read_builds
    from ssdconvert.report.index import WORDS
    from ssdconvert.stages.report import report_of_builds

    builds = read_builds(folders, (output, Path("release")))
    index, junit = report_of_builds(builds, output)
    wrong = [build.name for build in builds if build.verdict != "pass"]
    width = max(len(build.name) for build in builds)
    lines = [
        f"{build.name:{width}}  {coloured(WORDS.get(build.verdict, build.verdict))}  {build.reason}".rstrip()
        for build in builds
    ]
    document = {
        "verdict": "fail" if wrong else "pass",
        "index": str(index),
        "junit": str(junit),
        "builds": [
            {
                "recipe": build.name,
                "verdict": build.verdict,
                "reason": build.reason,
                "output": str(build.folder),
                "stand_in": build.stand_in,
                "archive": str(build.archive) if build.archive else None,
            }
            for build in builds
        ],
    }
    settings.result("\n".join([*lines, f"page   {index}", f"junit  {junit}"]), document)
    if wrong and settings.as_json:
        click.get_current_context().exit(1)
    if wrong:
        raise WrongModel(
            f"not shown to be right: {', '.join(wrong)}",
            hint=f"do not deploy them; {index} says why",
            stage="report",
        )
