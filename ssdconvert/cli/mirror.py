"""What --mirror takes: a folder, or a URL of one."""

import os

import click

from ssdconvert.url_secrets import redacted

SCHEMES = ("http://", "https://", "file://")


def checked_mirror(context: click.Context, option: click.Parameter, told: str | None) -> str | None:
    """Return a mirror, `~` written out; a usage error for a URL that nobody fetches from."""
    if not told or "://" not in told:
        return told and os.path.expanduser(told)
    if not told.lower().startswith(SCHEMES):
        wanted = "expected a folder, or an http, https or file URL"
        raise click.BadParameter(f"{wanted}, got {redacted(told)}", context, option)
    return told
