"""The supervisor of a `LaunchAgent`, in a process of its own: started, waited for, asked, started again, told to leave.

Owns the process and the questions at its control socket. What it is asked for is the face's business.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ControlError, ask
from launchd.api.access import Access
from launchd.api.embedded.parent import ChildAgent
from launchd.api.embedded.protocol import FromAgent, Refused, StartAgent, StartClaiming, TakeItem
from launchd.api.errors import LaunchError
from launchd.config import LaunchdConfig

#: How long the server may take to know a new agent.
REGISTER_SECONDS = 60.0

#: How long the supervisor may take to take in what it is handed.
TAKE_SECONDS = 30.0

POLL_SECONDS = 0.05

#: After an unexpected death the next start waits, each time twice as long.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0


class AgentHandle:
    """One supervisor for a launch-config ``document``; it stands by until :meth:`serve`."""

    def __init__(self, document: dict[str, Any], ours: LaunchdConfig, access: Access) -> None:
        self._begin = StartAgent(document, access.base_url, access.api_key, os.getpid(), own_queue=False)
        self._runtime_dir = Path(ours.runtime_dir)
        self._directory = Path(ours.state_dir)
        self._refusal: str | None = None
        self._process = self._start()

    def wait_registered(self) -> dict[str, Any]:
        """Return what the server calls the agent, once it does; raises :class:`LaunchError` where that fails."""
        deadline = time.monotonic() + REGISTER_SECONDS
        while (about := self._about()) is None:
            if not self._process.is_alive():
                self._process.wait()
                self._check_refusal()
                raise LaunchError(f"The agent did not start: {self._process.last_words()}")
            if time.monotonic() > deadline:
                self.leave()
                url = self._begin.base_url
                raise LaunchError(f"The server at {url} did not take the agent within {REGISTER_SECONDS:g} s.")
            time.sleep(POLL_SECONDS)
        return about

    def serve(self) -> None:
        """Claim jobs, and return when the agent has left; where its process died, it is started again."""
        self._process.send(StartClaiming())
        pause = FIRST_PAUSE_SECONDS
        while self._process.wait() != 0:
            self._check_refusal()
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            self._process = self._start()
            self._process.send(StartClaiming())

    def take(self, item_id: str, queue: str, run_spec: Mapping[str, Any]) -> None:
        """Hand an item over that is leased to the agent; raises :class:`LaunchError` where it is not taken."""
        self._process.send(TakeItem(item_id, queue, dict(run_spec)))
        deadline = time.monotonic() + TAKE_SECONDS
        while not self._ask_once(command="job", item=item_id).get("ok"):
            if time.monotonic() > deadline:
                raise LaunchError(f"Item {item_id} was not taken within {TAKE_SECONDS:g} s: are all slots taken?")
            time.sleep(POLL_SECONDS)

    def ask(self, **request: str) -> dict[str, Any]:
        """Return the answer to a question at the control socket; raises :class:`LaunchError` where there is none."""
        answer = self._ask_once(**request)
        if not answer.get("ok"):
            raise LaunchError(str(answer.get("error") or "The agent refused without a reason."))
        return answer

    def leave(self) -> None:
        """Have the agent leave; its jobs run on."""
        if self._process.is_alive():
            self._process.terminate()

    def _start(self) -> ChildAgent:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ChildAgent(self._begin, self._directory, self._heard, lambda _: None)
        except OSError as error:
            raise LaunchError(f"The state directory {self._directory} cannot be used: {error}.") from error

    def _heard(self, message: FromAgent) -> None:
        match message:
            case Refused(sentence):
                self._refusal = sentence
            case _:
                return

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise LaunchError(self._refusal)

    def _about(self) -> dict[str, Any] | None:
        try:
            agent: dict[str, Any] = ask(self._runtime_dir, {"command": "status"})["status"]["agent"]
        except (ControlError, KeyError):
            return None
        # An agent that answers here and is not ours: ours is about to be refused.
        return agent if agent["name"] and agent["pid"] == self._process.pid else None

    def _ask_once(self, **request: str) -> dict[str, Any]:
        try:
            return ask(self._runtime_dir, dict(request))
        except ControlError as error:
            raise LaunchError(str(error)) from error
