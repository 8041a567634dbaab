"""The supervisor of a `LaunchAgent` in a process of its own: its start, restarts and end, and requests to it.

Owns the process, and the client of its control socket.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ControlError, ask
from launchd.api.access import Access
from launchd.api.embedded.parent import ChildAgent
from launchd.api.embedded.protocol import FromAgent, RunItem, StartAgent, StartClaiming, StartRefused
from launchd.api.errors import LaunchError
from launchd.config import LaunchdConfig

#: How long the registration of a new agent may take.
REGISTER_SECONDS = 60.0

#: How long the supervisor may take to accept an item.
ACCEPT_SECONDS = 30.0

POLL_SECONDS = 0.05

#: Delays before the restarts of a process that died; each is twice the one before.
FIRST_RESTART_DELAY_SECONDS, LONGEST_RESTART_DELAY_SECONDS = 0.5, 30.0


class AgentHandle:
    """A supervisor with the configuration ``config``; it claims nothing before :meth:`serve`."""

    def __init__(self, config: dict[str, Any], settings: LaunchdConfig, access: Access) -> None:
        self._start_message = StartAgent(config, access.base_url, access.api_key, os.getpid(), own_queue=False)
        self._runtime_dir = Path(settings.runtime_dir)
        self._state_dir = Path(settings.state_dir)
        self._refusal: str | None = None
        self._process = self._start()

    def wait_registered(self) -> dict[str, Any]:
        """Return the agent's part of the status once it is registered; raises :class:`LaunchError` where that fails."""
        deadline = time.monotonic() + REGISTER_SECONDS
        while (agent := self._agent_status()) is None:
            if not self._process.is_alive():
                self._process.wait()
                self._check_refusal()
                raise LaunchError(f"The agent did not start: {self._process.last_log_line()}")
            if time.monotonic() > deadline:
                self.detach()
                url = self._start_message.base_url
                raise LaunchError(f"The server at {url} did not take the agent within {REGISTER_SECONDS:g} s.")
            time.sleep(POLL_SECONDS)
        return agent

    def serve(self) -> None:
        """Claim jobs, and return when the agent has ended; a process that dies is started again."""
        self._process.send(StartClaiming())
        delay = FIRST_RESTART_DELAY_SECONDS
        while self._process.wait() != 0:
            self._check_refusal()
            time.sleep(delay)
            delay = min(LONGEST_RESTART_DELAY_SECONDS, delay * 2)
            self._process = self._start()
            self._process.send(StartClaiming())

    def run_item(self, item_id: str, queue: str, run_spec: Mapping[str, Any]) -> None:
        """Run an item that is leased to the agent; raises :class:`LaunchError` where the agent does not accept it."""
        self._process.send(RunItem(item_id, queue, dict(run_spec)))
        deadline = time.monotonic() + ACCEPT_SECONDS
        while not self._ask_once(command="job", item=item_id).get("ok"):
            if time.monotonic() > deadline:
                raise LaunchError(f"Item {item_id} was not taken within {ACCEPT_SECONDS:g} s: are all slots taken?")
            time.sleep(POLL_SECONDS)

    def ask(self, **request: str) -> dict[str, Any]:
        """Return the response to a request at the control socket; raises :class:`LaunchError` for none or an error."""
        response = self._ask_once(**request)
        if not response.get("ok"):
            raise LaunchError(str(response.get("error") or "The agent refused without a reason."))
        return response

    def detach(self) -> None:
        """End the agent; its jobs run on."""
        if self._process.is_alive():
            self._process.terminate()

    def _start(self) -> ChildAgent:
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ChildAgent(self._start_message, self._state_dir, self._on_message, lambda _: None)
        except OSError as error:
            raise LaunchError(f"The state directory {self._state_dir} cannot be used: {error}.") from error

    def _on_message(self, message: FromAgent) -> None:
        match message:
            case StartRefused(sentence):
                self._refusal = sentence
            case _:
                return

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise LaunchError(self._refusal)

    def _agent_status(self) -> dict[str, Any] | None:
        try:
            agent: dict[str, Any] = ask(self._runtime_dir, {"command": "status"})["status"]["agent"]
        except (ControlError, KeyError):
            return None
        # Another agent may answer over the same directory: this one is then about to be refused.
        return agent if agent["name"] and agent["pid"] == self._process.pid else None

    def _ask_once(self, **request: str) -> dict[str, Any]:
        try:
            return ask(self._runtime_dir, dict(request))
        except ControlError as error:
            raise LaunchError(str(error)) from error
