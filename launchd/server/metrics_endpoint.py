"""The server's metrics endpoint: a socket of its own, beside that of the clients. Owns what a request to it reads."""

import asyncio
import importlib
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from ipc.extras import how_to_install
from launchd.metrics.address import open_socket, parse_address
from launchd.metrics.model import Family
from launchd.metrics.recorder import gauge
from launchd.server.container import AppState
from launchd.server.errors import CannotStart, StoreUnavailable
from launchd.server.measures import AGENTS, ITEMS
from launchd.server.settings import ServerSettings
from launchd.server.store.database import Lane
from launchd.server.store.launch.census import Census, take_census


class Endpoint(Protocol):
    """`launchd.metrics.endpoint.Endpoint`, which needs Prometheus' library."""

    def start(self) -> None:
        """Serve until `close`."""
        ...

    def close(self) -> None:
        """Stop serving."""
        ...


def listen_for_metrics(settings: ServerSettings) -> socket.socket | None:
    """The socket of the endpoint; None where the settings name none.

    Raises:
        CannotStart: the address cannot be used, or Prometheus' library is missing.
    """
    if settings.metrics_listen is None:
        return None
    _endpoint_class()
    try:
        address = parse_address(settings.metrics_listen)
    except ValueError as error:
        raise CannotStart(f"The address for metrics, {settings.metrics_listen!r}, {error}.") from error
    if not (address.is_local or settings.metrics_remote):
        raise CannotStart(
            f"Metrics at {address} could be read from other machines, and name queues and entities."
            " Where that is meant, add --metrics-remote."
        )
    try:
        return open_socket(address)
    except OSError as error:
        raise CannotStart(f"Metrics cannot be served at {address}: {error.strerror}.") from error


def make_endpoint(state: AppState, listening: socket.socket) -> Endpoint:
    """The endpoint on a socket that listens."""
    return _endpoint_class()(listening, partial(_read, state))


def _endpoint_class() -> Callable[[socket.socket, Callable[[], Sequence[Family]]], Endpoint]:
    try:
        found: Callable[[socket.socket, Callable[[], Sequence[Family]]], Endpoint] = importlib.import_module(
            "launchd.metrics.endpoint"
        ).Endpoint
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"Metrics need the Python package {error.name}, which is not installed here."
            f" Install it with: {how_to_install('metrics')}."
        ) from error
    return found


def _read(state: AppState) -> list[Family]:
    """Called in the endpoint's threads. What the database does not say now is left out; the rest is counted here."""
    families = state.measures.families()
    try:
        census = asyncio.run(_take_census(state))
    except StoreUnavailable:
        return families
    agents = {(status,): number for status, number in census.agents.items()}
    return [*families, gauge(ITEMS, census.items), gauge(AGENTS, agents)]


async def _take_census(state: AppState) -> Census:
    timeout = state.settings.agent_timeout_seconds
    return await state.database.read(lambda connection: take_census(connection, timeout), Lane.HEAVY)
