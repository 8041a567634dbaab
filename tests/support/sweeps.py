"""A sweep as W&B's clients make and run it."""

import json
from typing import Any

from tests.support.runs import ClientRun
from tests.support.server import Api

GRID = "method: grid\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {values: [1, 2, 3]}}\n"


class ClientSweep:
    """A sweep of project `proj` as its clients see it."""

    def __init__(self, api: Api, config: str = GRID, **values: object) -> None:
        self.api = api
        made = self.upsert(config=config, projectName="proj", entityName="me", **values)
        self.name: str = made["sweep"]["name"]
        self.id: str = made["sweep"]["id"]
        self.warnings: list[str] = made["configValidationWarnings"]

    def upsert(self, **values: object) -> dict[str, Any]:
        made: dict[str, Any] = self.api.mutate("upsertSweep", "sweep { id name } configValidationWarnings", **values)
        return made

    def set(self, state: str) -> None:
        self.upsert(id=self.id, state=state)

    def ask(self, selection: str) -> dict[str, Any]:
        query = f'query($s: String!) {{ project(name: "proj") {{ sweep(sweepName: $s) {{ {selection} }} }} }}'
        found: dict[str, Any] = self.api.run(query, {"s": self.name})["project"]["sweep"]
        return found

    @property
    def state(self) -> str:
        return str(self.ask("state")["state"])

    def agent(self) -> str:
        made = self.api.mutate("createAgent", "agent { id }", host="h-0", projectName="proj", sweep=self.name)
        return str(made["agent"]["id"])

    def beat(self, agent: str, *alive: str) -> list[dict[str, Any]]:
        """Commands for an agent whose runs of these names are alive."""
        states = json.dumps(dict.fromkeys(alive, True))
        answer = self.api.mutate("agentHeartbeat", "agent { id } commands", id=agent, metrics="{}", runState=states)
        assert answer["agent"]["id"] == agent
        commands: list[dict[str, Any]] = json.loads(answer["commands"])
        return commands

    def start(self, agent: str) -> tuple[ClientRun, dict[str, Any]]:
        """Let the agent start its next run. The run, and its arguments."""
        (command,) = self.beat(agent)
        assert command["type"] == "run"
        return ClientRun(self.api, name=command["run_id"], sweep=self.name), command["args"]
