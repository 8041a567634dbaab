"""Which items an agent may claim and report, as a condition in the statements that do it.

An agent is of one entity, and serves the queues of that entity alone, for a viewer who may serve them at that moment.
"""

from typing import Any

from sqlalchemy import ColumnElement, exists, or_

from launchd.server.store.accounts.authorization import may_serve
from launchd.server.store.tables import launch_agents, projects, run_queues

# Under names of their own, because the statements around the conditions use the same tables.
_queue = run_queues.alias("served_queue").c
_PROJECTS = projects.alias("served_project")
_project = _PROJECTS.c
_agent = launch_agents.alias("serving_agent").c


def is_served(queue_id: ColumnElement[Any], agent_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the agent may serve the queue, for this viewer. Needs the values of `authorization.binds`.

    An agent that is null (W&B's operations need not name one) leaves the viewer's own right.
    """
    is_of_entity = exists().where(_agent.id == agent_id, _agent.entity_id == _project.entity_id)
    return exists().where(
        _queue.id == queue_id,
        _project.id == _queue.project_id,
        may_serve(_project.entity_id),
        or_(agent_id.is_(None), is_of_entity.correlate(_PROJECTS)),
    )
