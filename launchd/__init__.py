"""A launch agent for hosts with GPUs, and a queue server of its own, speaking the protocol of W&B Launch.

Owns the version, and the names that programs import; `__init__.pyi` has their types. `import launchd` loads no other
module, least of all `workers` or `ipc`, whose names are common in users' code: each name is loaded when it is first
used.
"""

__version__ = "0.1.0"

__all__ = [
    "AbstractRun",
    "Api",
    "ExecutionError",
    "LaunchAgent",
    "LaunchError",
    "QueuedRun",
    "Run",
    "RunQueue",
    "SubmittedRun",
    "create_and_run_agent",
    "launch",
    "launch_add",
]

#: The module and attribute of each name.
_LOCATIONS = {
    "AbstractRun": "launchd.api.submitted_run:AbstractRun",
    "Api": "launchd.api.client:Api",
    "ExecutionError": "launchd.api.errors:ExecutionError",
    "LaunchAgent": "launchd.api.agent:LaunchAgent",
    "LaunchError": "launchd.api.errors:LaunchError",
    "QueuedRun": "launchd.api.queued_run:QueuedRun",
    "Run": "launchd.client.models.runs:RunDetail",
    "RunQueue": "launchd.api.queues:RunQueue",
    "SubmittedRun": "launchd.api.submitted_run:SubmittedRun",
    "create_and_run_agent": "launchd.api.agent:create_and_run_agent",
    "launch": "launchd.api.launch:launch",
    "launch_add": "launchd.api.launch_add:launch_add",
}


def __getattr__(name: str) -> object:
    """Load the object of a name at its first use."""
    if name not in _LOCATIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - `import launchd` loads nothing

    module, _, attribute = _LOCATIONS[name].partition(":")
    return globals().setdefault(name, getattr(importlib.import_module(module), attribute))


def __dir__() -> list[str]:
    """Return the names that can be imported from `launchd`."""
    return sorted({*globals(), *_LOCATIONS})
