from launchd.api.adding import launch_add as launch_add
from launchd.api.client import Api as Api
from launchd.api.errors import ExecutionError as ExecutionError
from launchd.api.errors import LaunchError as LaunchError
from launchd.api.queued import QueuedRun as QueuedRun
from launchd.api.queues import RunQueue as RunQueue

__version__: str
