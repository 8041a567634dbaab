"""An agent that lost one of its threads makes way for a new one, and its jobs run on."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from launchd.agent.control.client import ControlError
from tests.support.server import Account
from tests.support.testbed import ROOT, Testbed, make_testbed
from tests.support.waiting import wait_until

#: Runs the real agent, in which the control socket's thread meets an error that nobody expected.
BROKEN_AGENT = """
import sys
from launchd.agent.control import server
from launchd.cli import main

def fail(self):
    raise RuntimeError("on purpose")

server.ControlServer._take_client = fail
main(["agent", "-c", sys.argv[1]])
"""


def ask_in_vain(testbed: Testbed) -> None:
    with contextlib.suppress(ControlError):
        testbed.ask(command="status")


def test_a_thread_that_dies_ends_the_agent_for_a_new_one_to_begin(tmp_path: Path, account: Account) -> None:
    with make_testbed(tmp_path, account) as testbed:
        environ = os.environ | {"WANDB_API_KEY": testbed.server.key, "WANDB_BASE_URL": testbed.server.url}
        command = [sys.executable, "-c", BROKEN_AGENT, str(testbed.config_path)]
        with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as agent:
            item = testbed.push("sh", "-c", "sleep 1; echo done")
            wait_until(lambda: ask_in_vain(testbed) or agent.poll() is not None, what="the agent ended")
            assert agent.wait(10) == 70
            assert "its thread control died of RuntimeError: on purpose" in (
                agent.stderr.read() if agent.stderr else ""
            )
        testbed.start_agent()
        assert [ended.state for ended in testbed.wait_over([item])] == ["FINISHED"]
