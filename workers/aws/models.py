"""What the SDK reads from its own files about AWS's services, cut down to the requests that are made here.

SageMaker's description alone takes tens of megabytes in memory.
"""

import functools
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader

#: The requests that this package makes, of the services whose descriptions are long.
_OPERATIONS = {
    "sagemaker": ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"),
    "logs": ("DescribeLogStreams", "GetLogEvents"),
    "ecr": (
        "BatchGetImage",
        "CreateRepository",
        "DescribeImages",
        "DescribeRepositories",
        "GetAuthorizationToken",
    ),
}


class TrimmedLoader(Loader):  # type: ignore[misc]
    """The SDK's reader of its own files."""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return a description of a service, without the requests that are never made."""
        wanted = _OPERATIONS.get(service_name)
        if wanted is None or type_name != "service-2":
            return super().load_service_model(service_name, type_name, api_version)
        key = ("trimmed", service_name)
        if key not in self._cache:
            # What a reader has read it keeps, so one of its own reads the whole.
            self._cache[key] = trimmed(Loader().load_service_model(service_name, type_name, api_version), wanted)
        return self._cache[key]


def trimmed(model: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """Return a service's description with the operations ``wanted`` and the shapes that these need, nothing else."""
    operations = {name: _bare(model["operations"][name]) for name in wanted}
    needed: dict[str, Any] = {}
    waiting = [name for operation in operations.values() for name in _shapes_in(operation)]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = _bare(model["shapes"][name])
            waiting.extend(_shapes_in(needed[name]))
    return {**model, "operations": operations, "shapes": needed}


def _bare(part: Any) -> Any:
    """Return a part of a description without its documentation."""
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if key != "documentation" or not isinstance(value, str)}
        return {key: _bare(value) for key, value in kept.items()}
    return [_bare(value) for value in part] if isinstance(part, list) else part


def _shapes_in(part: Any) -> Iterator[str]:
    """Yield the names of the shapes that a part of a description mentions."""
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from _shapes_in(value)


@functools.cache
def shared_loader() -> Loader:
    """Return the reader that all sessions of this process use."""
    return TrimmedLoader()
