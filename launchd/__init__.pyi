from launchd.api.agent import LaunchAgent as LaunchAgent
from launchd.api.agent import create_and_run_agent as create_and_run_agent
from launchd.api.client import Api as Api
from launchd.api.errors import ExecutionError as ExecutionError
from launchd.api.errors import LaunchError as LaunchError
from launchd.api.launch import launch as launch
from launchd.api.launch_add import launch_add as launch_add
from launchd.api.queued_run import QueuedRun as QueuedRun
from launchd.api.queues import RunQueue as RunQueue
from launchd.api.submitted_run import AbstractRun as AbstractRun
from launchd.api.submitted_run import SubmittedRun as SubmittedRun
from launchd.client.models.runs import RunDetail as RunDetail

Run = RunDetail

__version__: str
