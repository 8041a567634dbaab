"""Directories among temporary files, by whose names the agent removes those that killed processes left."""

#: A worker has the keys of a kubeconfig in one while it reads that.
KUBERNETES_PREFIX = "launchd-kubernetes-"

#: A fork server has the job of no one in one, at its start.
REHEARSAL_PREFIX = "launchd-rehearsal-"

#: An agent has its control socket in one where its own directory has too long a name.
CONTROL_PREFIX = "launchd-control-"

PREFIXES = (KUBERNETES_PREFIX, REHEARSAL_PREFIX, CONTROL_PREFIX)
