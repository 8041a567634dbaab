"""What `journalctl` finds of the log, in the journal of a real systemd-journald in a namespace of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import missing_part

pytestmark = pytest.mark.root

JOURNALD = "/lib/systemd/systemd-journald"

#: Logs as agent and server do, says what it wrote to standard error meanwhile, and ends.
PROGRAM = """
import logging
from launchd.daemon import logging as logs
logs.set_up("text")
log = logging.getLogger("launchd.agent.job_controller")
for number in (1, 2):
    log.info("A job is over.", extra={"job": f"launchd-{number}", "queue": "my queue", "why": "two\\nlines"})
log.warning("A job has a warning.", extra={"job": "launchd-2", "warning": "x" * 300_000})
"""

#: Runs a journal, gives a program a standard error that is the journal's stream, as systemd does, and asks for entries.
SCRIPT = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
{journald} & journald=$!
trap 'kill $journald; wait $journald' EXIT
for _ in $(seq 200); do [ -S /run/systemd/journal/socket ] && break; sleep 0.05; done
{python} - <<'END'
import os, socket, subprocess, sys
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"launchd\\n\\n6\\n0\\n0\\n0\\n0\\n")
status = os.fstat(stream.fileno())
named = {{"JOURNAL_STREAM": f"{{status.st_dev}}:{{status.st_ino}}"}}
subprocess.run([sys.executable, {program!r}], stderr=stream, env={{**os.environ, **named}}, check=True)
stream.close()
END
journalctl --sync
journalctl -D /run/log/journal --no-pager --all --output json JOB=launchd-2
"""


def test_the_entries_of_a_job_are_found_by_its_name(tmp_path: Path) -> None:
    if not Path(JOURNALD).exists() or shutil.which("journalctl") is None:
        missing_part("There is no systemd-journald here (Debian: apt-get install systemd)")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    script = SCRIPT.format(journald=JOURNALD, python=sys.executable, program=str(program))

    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script],
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    over, warned = [json.loads(line) for line in done.stdout.splitlines()]
    assert (over["QUEUE"], over["WHY"], over["PRIORITY"], over["_TRANSPORT"]) == (
        *("my queue", "two\nlines", "6", "journal"),
    )
    assert over["MESSAGE"].startswith("A job is over. job=launchd-2 ")
    assert (warned["PRIORITY"], len(warned["WARNING"])) == ("4", 300_000)
