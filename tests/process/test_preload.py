"""What the fork server holds for all workers is all that a plain job needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


#: Says what importing the fork server's modules leaves: threads, descriptors, temporary files, and its title.
LEFT = """
import os, threading
before = len(os.listdir("/proc/self/fd"))
import workers.preload
from setproctitle import getproctitle
after = len(os.listdir("/proc/self/fd"))
print(threading.active_count(), after - before, os.listdir(os.environ["TMPDIR"]), getproctitle())
"""


@pytest.mark.parametrize("resources", ["", "local-process", "local-container", "kubernetes"])
def test_what_is_done_for_all_workers_leaves_nothing_and_fails_nowhere(tmp_path: Path, resources: str) -> None:
    environ = os.environ | {"LAUNCHD_PRELOAD": resources, "TMPDIR": str(tmp_path), "LAUNCHD_FAILPOINTS": ""}
    done = subprocess.run(
        [sys.executable, "-c", LEFT], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    threads, descriptors, files, title = done.stdout.split(maxsplit=3)
    # The pipe that a stopped fork server is woken by may be there.
    assert (threads, files, title.strip()) == ("1", "[]", "launchd: fork server")
    assert int(descriptors) <= 2


def test_a_worker_of_a_command_reads_no_code_from_the_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.worker_imports", str(tmp_path)]
    loaded = json.loads(subprocess.check_output(command, cwd=ROOT))

    assert [name for name in loaded if name.partition(".")[0] != "tests"] == []
