"""Shows the upload of a directory: what is left out and how much is sent before it is, then how far it is."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from launchd.cli.terminal import echo
from launchd.client.upload_dir import CodeListing
from launchd.humanize import join_some

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

#: From here on an upload takes long enough to be announced, in bytes and files.
ANNOUNCED_BYTES, ANNOUNCED_FILES = 10 << 20, 500


class UploadView:
    """One upload, on standard error; to be left at its end."""

    def __init__(self) -> None:
        self._bar: ProgressBar[int] | None = None
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def listed(self, listing: CodeListing) -> None:
        """Say what is left out, how to upload it on purpose, and how much is sent where that is much."""
        on_purpose = "To upload one, add: --include NAME"
        if listing.left_out:
            echo(f"Not uploaded, for they may hold secrets: {join_some(listing.left_out)}. {on_purpose}", err=True)
        if listing.ignored:
            names = join_some(listing.ignored)
            echo(f"Not uploaded, for .gitignore or .wandbignore name them: {names}. {on_purpose}", err=True)
        if listing.links:
            names = join_some(listing.links)
            why = "these links lead nowhere, in a circle or to a directory elsewhere"
            echo(f"Not uploaded, for {why}: {names}. {on_purpose}", err=True)
        if listing.size >= ANNOUNCED_BYTES or len(listing.files) >= ANNOUNCED_FILES:
            self._size = listing.size
            echo(f"Uploading {len(listing.files):,} files, {listing.size / (1 << 20):,.1f} MiB.", err=True)

    def sent(self, size: int) -> None:
        """Move a bar on a terminal by the bytes of a file."""
        if self._bar is None and self._size and sys.stderr.isatty():
            self._bar = click.progressbar(length=self._size, file=sys.stderr, label="Uploading")
        if self._bar is not None:
            self._bar.update(size)
