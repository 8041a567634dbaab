"""What the fork server holds for all workers is all that a plain job needs."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_worker_of_a_command_reads_no_code_from_the_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.worker_imports", str(tmp_path)]
    loaded = json.loads(subprocess.check_output(command, cwd=ROOT))

    assert [name for name in loaded if name.partition(".")[0] != "tests"] == []
