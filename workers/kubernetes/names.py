"""Names and labels of what is made in a cluster. Pure."""

import re

from ipc.agent_mark import agent_mark
from ipc.work_order import WorkOrder

#: The longest name of a Job: it becomes a label of the Job's pods.
MAX_NAME = 63

#: By this label an object, and its pods, are those of the job with this workload name.
NAME_LABEL = "launchd/name"
#: The mark of the agent; see ``ipc.agent_mark``.
AGENT_LABEL = "launchd/agent"
ITEM_LABEL = "launchd/item"
QUEUE_LABEL = "launchd/queue"
#: W&B's labels, of its Kubernetes runner.
RUN_LABEL = "wandb.ai/run-id"
MONITOR_LABEL = "wandb.ai/monitor"
CREATED_BY_LABEL = "wandb.ai/created-by"

_NO_NAME = re.compile(r"[^a-z0-9]+")
_NO_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")


def object_name(stem: str, workload: str) -> str:
    """Return the name of the object of a workload: ``stem`` as far as it fits, and what no other workload has.

    It is the same for the same two values, of small letters, digits and hyphens, and of 63 characters at most.
    """
    own = workload.removeprefix("launchd-")
    readable = dns_name(stem)[: MAX_NAME - len(own) - 1].strip("-")
    # A name of before version 1.18 begins with a letter.
    return f"{readable if readable[:1].isalpha() else 'launchd'}-{own}"


def dns_name(text: str) -> str:
    """Return ``text`` in small letters, digits and hyphens."""
    return _NO_NAME.sub("-", text.lower()).strip("-")


def label_value(text: str) -> str:
    """Return ``text`` as the value of a label: 63 characters at most, of letters, digits, ``-``, ``_`` and ``.``."""
    return _NO_LABEL.sub("-", text)[:63].strip("-_.")


def labels_of(order: WorkOrder) -> dict[str, str]:
    """Return the labels of everything that is made for the job of ``order``."""
    # A job's directory lies in that of all jobs, in the agent's own.
    state_dir = order.directory.rpartition("/")[0].rpartition("/")[0]
    return {
        NAME_LABEL: order.name,
        AGENT_LABEL: agent_mark(state_dir or "/"),
        ITEM_LABEL: label_value(order.item_id),
        QUEUE_LABEL: label_value(order.queue),
        RUN_LABEL: label_value(order.spec.run_id),
        MONITOR_LABEL: "true",
    }


def selector(workload: str) -> str:
    """Return the label selector for what belongs to a workload."""
    return f"{NAME_LABEL}={workload}"
