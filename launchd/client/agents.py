"""Operations of agents: register, claim, acknowledge, report, return; one part of `QueueServer`.

Owns which operation each method sends. What is marked "launchd protocol" exists on launchd's own server only: ask
`capabilities().launchd_protocol` first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from launchd.client.base import QUEUE_PROJECT, ClientBase, as_json
from launchd.client.errors import Refused
from launchd.client.models.agents import Agent, AgentCommands, AgentGpus, AgentIdentity, HeldItem, Resumed
from launchd.client.models.items import Ack, Claim, ClaimedItem, ItemResult, Report
from launchd.client.operations import launch, launchd_protocol


class AgentOperations(ClientBase):
    """Operations of agents and on agents."""

    def create_agent(
        self,
        entity: str,
        queue_ids: Sequence[str],
        hostname: str,
        config: Mapping[str, Any],
        version: str,
        project: str = QUEUE_PROJECT,
        identity: AgentIdentity | None = None,
    ) -> str:
        """Register an agent for these queues and return its id. `config` is shown to users: it must hold no secret.

        `identity` says which process the agent is; only launchd's own server is told.
        """
        if self.capabilities().launchd_protocol:
            return self._call_launchd(
                launchd_protocol.CREATE_AGENT,
                entityName=entity,
                projectName=project,
                runQueues=list(queue_ids),
                hostname=hostname,
                agentConfig=as_json(config),
                version=version,
                incarnation=identity and identity.incarnation,
                machineId=identity and identity.machine_id,
            ).launch_agent_id
        target = {"entity": entity, "project": project, "queues": list(queue_ids), "hostname": hostname}
        if not self.capabilities().agent_config:
            return self._call(launch.CREATE_AGENT_WITHOUT_CONFIG, **target).launch_agent_id
        created = self._call(launch.CREATE_AGENT, **target, agentConfig=as_json(config), version=version)
        return created.launch_agent_id

    def knows_entity(self, entity: str) -> bool:
        """Return whether there is an entity of that name which the key may use."""
        return self._call(launch.ENTITY_IS_TEAM, entity=entity) is not None

    def is_team(self, entity: str) -> bool:
        """Return whether the entity is a team; false for an unknown entity."""
        found = self._call(launch.ENTITY_IS_TEAM, entity=entity)
        return found is not None and found.is_team

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent, or None for an unknown id. The request counts as the agent's heartbeat."""
        operation = launchd_protocol.AGENT if self.capabilities().launchd_protocol else launch.AGENT
        return self._call(operation, id=agent_id)

    def agents(self, entity: str) -> list[Agent]:
        """Return the entity's agents. Launchd protocol; `Refused` elsewhere: W&B shows them on its web page only."""
        if not self.capabilities().launchd_protocol:
            raise Refused(f"The server at {self.base_url} shows its agents on its web page only.")
        return self._call(launchd_protocol.AGENTS, entity=entity)

    def agents_with_items(self, entity: str) -> list[Agent]:
        """As `agents`, each with the items that it has; without them at an older server of launchd."""
        if not self.capabilities().agent_control:
            return self.agents(entity)
        return self._call(launchd_protocol.AGENTS_WITH_ITEMS, entity=entity)

    def update_agent(self, agent_id: str, status: str, incarnation: str | None = None) -> None:
        """Set the agent's status: POLLING, RUNNING or KILLED; or DRAINING at launchd's own server.

        `incarnation` names the process that says so: launchd's own server refuses it of another than the present one.
        """
        if self.capabilities().launchd_protocol:
            result = self._call_launchd(
                launchd_protocol.UPDATE_AGENT, launchAgentId=agent_id, agentStatus=status, incarnation=incarnation
            )
        else:
            result = self._call(launch.UPDATE_AGENT, id=agent_id, status=status)
        if not result.success:
            raise Refused(f"The server did not take status {status} of agent {agent_id}.")

    def stop_agent(self, agent_id: str) -> None:
        """Ask an agent to end. Launchd protocol."""
        if not self._call_launchd(launchd_protocol.STOP_AGENT, launchAgentId=agent_id).success:
            raise Refused(f"The server knows no agent {agent_id}.")

    def undrain_agent(self, agent_id: str) -> None:
        """Take back that an agent was asked to end. Launchd protocol.

        Raises:
            Refused: it has left, the key is not an admin's nor its owner's, or the server is W&B's or an older one.
        """
        self._require_agent_control()
        self._call_launchd(launchd_protocol.UNDRAIN_AGENT, launchAgentId=agent_id)

    def stop_agent_and_items(self, agent_id: str, reason: str) -> tuple[str, ...]:
        """Ask an agent to stop all its items, for this reason, and to end; returns their ids. Launchd protocol.

        Raises:
            Refused: the key is not an admin's nor its owner's, or the server is W&B's or an older one.
        """
        self._require_agent_control()
        return self._call_launchd(
            launchd_protocol.STOP_AGENT_AND_ITEMS, launchAgentId=agent_id, stopItems=True, reason=reason
        ).stopped

    def _require_agent_control(self) -> None:
        if not self.capabilities().agent_control:
            raise Refused(f"The server at {self.base_url} can only ask agents to drain.")

    def resume_agent(
        self,
        agent_id: str,
        identity: AgentIdentity,
        held: Sequence[HeldItem],
        previous_agent_ids: Sequence[str] = (),
    ) -> Resumed:
        """Make the process of `identity` this agent, and agree with the server about its items.

        `held` are all items of the agent. What it does not hold and is merely leased goes back to its queue; what its
        earlier registrations, `previous_agent_ids`, hold becomes this one's. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent. `SecondIncarnation`: another living process is this agent.
        """
        return self._call_launchd(
            launchd_protocol.RESUME,
            launchAgentId=agent_id,
            previousAgentIds=list(previous_agent_ids),
            held=list(held),
            **msgspec.to_builtins(identity),
        )

    def watch(
        self,
        agent_id: str,
        status: str,
        seen_stops: Sequence[str],
        wait_seconds: float,
        incarnation: str,
        held: Sequence[HeldItem],
        seen_outputs: Sequence[str] = (),
    ) -> AgentCommands:
        """Wait up to `wait_seconds` for a request to stop the agent, or an item that is not in `seen_stops`.

        A request to send the output of an item that is not in `seen_outputs` ends the wait too. The request counts as
        the heartbeat of the process `incarnation`. `held` are all items of the agent, which the server compares with
        its own list. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent. `SecondIncarnation`: another process has become this agent.
        """
        sends = self.capabilities().outputs
        told = {"seenOutputs": list(seen_outputs)} if sends else {}
        return self._call_launchd(
            launchd_protocol.WATCH_OUTPUTS if sends else launchd_protocol.WATCH,
            wait_seconds,
            launchAgentId=agent_id,
            agentStatus=status,
            seenStops=list(seen_stops),
            waitSeconds=wait_seconds,
            incarnation=incarnation,
            held=list(held),
            **told,
        )

    def claim(
        self,
        agent_id: str,
        incarnation: str,
        claim_id: str,
        max_items: int,
        max_schedulers: int,
        wait_seconds: float,
        gpus: AgentGpus | None = None,
    ) -> Claim:
        """Wait up to `wait_seconds` for items and lease them to the process `incarnation` of the agent.

        After a lost response, the same `claim_id` returns the same items. With `gpus` only items that fit are leased,
        and the wait ends when `report_gpus` tells newer ones; None: the agent manages no GPUs. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent. `SecondIncarnation`: another process has become this agent.
        """
        told = {} if gpus is None else {"gpus": gpus}
        return self._call_launchd(
            launchd_protocol.CLAIM,
            wait_seconds,
            launchAgentId=agent_id,
            incarnation=incarnation,
            claimId=claim_id,
            maxItems=max_items,
            maxSchedulers=max_schedulers,
            waitSeconds=wait_seconds,
            **told,
        )

    def report_gpus(self, agent_id: str, incarnation: str, gpus: AgentGpus) -> None:
        """Tell what the agent's GPUs are now; older ones than told before have no effect. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent. `SecondIncarnation`: another process has become this agent.
        """
        self._call_launchd(launchd_protocol.REPORT_GPUS, launchAgentId=agent_id, incarnation=incarnation, gpus=gpus)

    def pop(self, entity: str, queue: str, agent_id: str | None, project: str = QUEUE_PROJECT) -> ClaimedItem | None:
        """Lease one item; returns None where the queue is empty."""
        popped = self._call(launch.POP, entity=entity, project=project, queue=queue, agentId=agent_id)
        return ClaimedItem(popped.run_queue_item_id, queue, popped.run_spec) if popped else None

    def ack(self, item_id: str, run_id: str) -> bool:
        """Acknowledge a leased item as run `run_id`. False: the lease has expired, or it was acknowledged before."""
        return bool(self._call(launch.ACK, itemId=item_id, runId=run_id).success)

    def ack_many(self, agent_id: str, acks: Sequence[Ack]) -> dict[str, ItemResult]:
        """Acknowledge items, each once; returns the answers by item id. Idempotent. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent.
        """
        return self._call_launchd(launchd_protocol.ACK_MANY, launchAgentId=agent_id, acks=list(acks)).by_item()

    def report_many(self, agent_id: str, reports: Sequence[Report]) -> dict[str, ItemResult]:
        """Deliver reports, one of each item; returns the answers by item id. Idempotent. Launchd protocol.

        Raises:
            UnknownAgent: the server knows no such agent.
        """
        return self._call_launchd(launchd_protocol.REPORT_MANY, launchAgentId=agent_id, reports=list(reports)).by_item()

    def return_items(self, agent_id: str, items: Sequence[ClaimedItem]) -> None:
        """Return claimed items that are not acknowledged, each under its lease, to their queues. Launchd protocol."""
        self._call_launchd(
            launchd_protocol.RETURN_ITEMS,
            launchAgentId=agent_id,
            runQueueItemIds=[item.item_id for item in items],
            leases=[item.lease for item in items],
        )

    def fail_item(self, item_id: str, message: str, stage: str, file_paths: Sequence[str] | None = None) -> bool:
        """Fail an item at W&B's stage agent, build or run. False where the server refuses it or lacks the operation."""
        capabilities = self.capabilities()
        if not capabilities.fail_item:
            return False
        if not capabilities.fail_details:
            return bool(self._call(launch.FAIL_ITEM_WITHOUT_DETAILS, itemId=item_id).success)
        paths = None if file_paths is None else list(file_paths)
        result = self._call(launch.FAIL_ITEM, itemId=item_id, message=message, stage=stage, filePaths=paths)
        return bool(result.success)

    def warn_item(self, item_id: str, message: str, stage: str) -> bool:
        """Attach a warning to an item. False where the server refuses it or lacks the operation."""
        if not self.capabilities().item_warnings:
            return False
        result = self._call(launch.WARN_ITEM, itemId=item_id, message=message, stage=stage, filePaths=[])
        return bool(result.success)
