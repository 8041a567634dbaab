"""The manual pages: one for each command, and nothing that man or mandoc complains of."""

import os
import shutil
import subprocess
from pathlib import Path

import click

from launchd.cli import COMMANDS
from launchd.cli.manual import escaped, pages
from tests.support.parts import missing_part

MANUAL = Path(__file__).parents[3] / "packaging" / "man"
PAGES = sorted(MANUAL.glob("*.1"))

#: What the packages put in, and how long a line may be that a reader of the sources sees.
NO_FAULTS = ("missing date", "input text line longer than 80 bytes")


def test_each_command_has_a_page() -> None:
    assert {page.stem for page in PAGES} == {"launchd", *(f"launchd-{name}" for name in COMMANDS)}


def test_man_renders_them_without_warnings() -> None:
    if shutil.which("man") is None:
        missing_part("There is no man here (Debian: apt-get install man-db)")
    done = subprocess.run(
        ["man", "--local-file", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", *PAGES],
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert b"launchd" in done.stdout


def test_mandoc_finds_no_fault() -> None:
    if shutil.which("mandoc") is None:
        missing_part("There is no mandoc here (Debian: apt-get install mandoc)")
    done = subprocess.run(["mandoc", "-Tlint", *PAGES], capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if not any(words in line for words in NO_FAULTS)]
    assert found == []


def test_texts_are_printed_as_they_are() -> None:
    @click.group(help="Do it.\n\n\b\n.first - line\n")
    def tool() -> None:
        """Do it."""

    @tool.command(epilog="\b\nExamples:\n  'tool' a\\b")
    @click.option("--dry-run", help="Nothing. 'Really'.")
    def run(dry_run: bool) -> None:
        """.Hidden request."""

    made = dict(pages(tool, {"run": "Run it."}))
    assert "\n\\&.first \\- line\n" in made["launchd.1"]
    page = made["launchd-run.1"]
    assert page.startswith('.TH LAUNCHD\\-RUN 1 ""')
    assert "\n\\&.Hidden request.\n" in page
    assert "\n\\&'tool' a\\eb\n" in page
    assert ".B \\-\\-dry\\-run TEXT\nNothing." in page
    assert escaped("a-b") == "a\\-b"
