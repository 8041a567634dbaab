"""Records of a daemon: where they go, and what becomes of those that go nowhere."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from launchd.cli.streams import settle_errors
from launchd.daemon.logging import set_up
set_up("text", log_file={file})
logging.getLogger("launchd").info("first")
logging.getLogger("launchd").info("wrong: %d", "no number")
print("it goes on", flush=True)
settle_errors()
"""


@pytest.mark.parametrize("file", ["'/dev/full'", "None"])
def test_what_cannot_be_logged_is_lost_and_the_program_goes_on(file: str) -> None:
    line = f"exec {sys.executable} -c '{PROGRAM.format(file=file.replace(chr(39), chr(34)))}'"
    redirected = f"{line} 2>/dev/full" if file == "None" else line
    done = subprocess.run(["sh", "-c", redirected], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "it goes on\n")
    # A mistake of the program's own is still shown.
    assert "No space left" not in done.stderr
    assert ("no number" in done.stderr) == (file != "None")
