"""An agent's processes are spared what requests loads and none of them uses; a program that imports launchd is not."""

import subprocess
import sys

import pytest

READ = """
import sys, warnings
warnings.simplefilter("error")
import {module}
import requests
response = requests.Response()
response._content = "größer".encode()
print(sys.modules.get("charset_normalizer") is not None, response.text)
"""


@pytest.mark.parametrize(
    ("module", "loads"),
    [
        ("launchd.cli.agent", False),
        ("launchd.api.embedded.child", False),
        ("workers.preload", False),
        ("launchd.api", True),
        ("launchd.cli.launch", True),
    ],
)
def test_what_guesses_encodings_is_for_other_peoples_programs(module: str, loads: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ.format(module=module)], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == f"{loads} größer\n"
    assert done.stderr == ""
