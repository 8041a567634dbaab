"""Tells which files of a directory were not uploaded, for they may hold secrets."""

from collections.abc import Sequence

from launchd.cli.terminal import echo
from launchd.humanize import join_some


def show_left_out(names: Sequence[str]) -> None:
    """Print the names of files and directories that are left out, and how to upload one on purpose."""
    echo(f"Not uploaded, for they may hold secrets: {join_some(names)}. To upload one, add: --include NAME", err=True)
