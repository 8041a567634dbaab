"""Applies the rules of how long ended runs are kept, or says what they would remove."""

import logging
import time
from collections.abc import Sequence

from launchd.server.runs.retention import Doomed, RetentionRule, choose, rule_for
from launchd.server.store.database import Database, Lane
from launchd.server.store.runs import retention as run_retention

logger = logging.getLogger(__name__)


class Retention:
    """The rules of one server, over its database."""

    def __init__(self, database: Database, rules: Sequence[RetentionRule]) -> None:
        self._database = database
        self._rules = tuple(rules)

    async def plan(self) -> list[Doomed]:
        """What the rules let go now."""
        if not self._rules:
            return []
        return [doomed for number, project in await self._projects() for doomed in await self._of(number, project)]

    async def apply(self) -> list[Doomed]:
        """Remove what the rules let go, a batch at a time; returns what that was. Blobs go with the next collection."""
        plan = await self.plan()
        for doomed in plan:
            await self._remove(doomed)
        if plan:
            logger.info("Runs were removed by the rules of retention.", extra={"runs": len(plan)})
        return plan

    async def _projects(self) -> list[tuple[int, str]]:
        return await self._database.read(run_retention.projects_of_all, Lane.HEAVY)

    async def _of(self, number: int, project: str) -> list[Doomed]:
        rule = rule_for(self._rules, project)
        if rule is None:
            return []
        ended = await self._database.read(lambda connection: run_retention.ended_runs(connection, number), Lane.HEAVY)
        return choose(rule, project, ended, time.time())

    async def _remove(self, doomed: Doomed) -> None:
        while not await self._database.write(
            lambda connection: run_retention.remove_batch(connection, doomed.run, files_only=doomed.files_only)
        ):
            pass
