"""What the queue server counts and times about itself, and the metrics that these become. Any thread may call."""

from collections.abc import Iterable

from launchd import __version__
from launchd.metrics.model import LONG_SECONDS, SECONDS, Family, Kind, Metric
from launchd.metrics.recorder import Recorder, gauge

INFO = Metric("launchd_server_info", Kind.GAUGE, "1, with the version of the queue server.", ("version",))
REQUESTS = Metric(
    "launchd_server_requests_total",
    Kind.COUNTER,
    "Answered requests, by the first field of a GraphQL operation or the route, and by HTTP status.",
    ("operation", "status"),
)
REQUEST_SECONDS = Metric(
    "launchd_server_request_seconds",
    Kind.HISTOGRAM,
    "From a request to the end of its answer, with the time that claims and heartbeats wait for something to tell.",
    ("operation",),
    SECONDS,
)
CLAIM_SECONDS = Metric(
    "launchd_server_claim_seconds",
    Kind.HISTOGRAM,
    "One look for items that an agent can have, until what was found is leased on disk.",
    buckets=SECONDS,
)
WAIT_SECONDS = Metric(
    "launchd_server_item_wait_seconds",
    Kind.HISTOGRAM,
    "From the push of an item to its lease.",
    buckets=LONG_SECONDS,
)
LEASES_ENDED = Metric(
    "launchd_server_leases_ended_total",
    Kind.COUNTER,
    "Leases that ended without an acknowledgement; their items wait again.",
)
DATABASE_SECONDS = Metric(
    "launchd_server_database_seconds",
    Kind.HISTOGRAM,
    "Transactions, with the time that they wait for their turn and, of changes, for the disk.",
    ("access",),
    SECONDS,
    known=("read", "write"),
)
DATABASE_ERRORS = Metric("launchd_server_database_errors_total", Kind.COUNTER, "Transactions that the database failed.")
ITEMS = Metric(
    "launchd_server_items",
    Kind.GAUGE,
    "Items that are not over, by their queue and state: pending, leased or claimed.",
    ("entity", "queue", "state"),
)
AGENTS = Metric("launchd_server_agents", Kind.GAUGE, "Agents by status, of those that have not left.", ("status",))

RECORDED = (
    REQUESTS,
    REQUEST_SECONDS,
    CLAIM_SECONDS,
    WAIT_SECONDS,
    LEASES_ENDED,
    DATABASE_SECONDS,
    DATABASE_ERRORS,
)
METRICS = (INFO, *RECORDED, ITEMS, AGENTS)


class ServerMeasures:
    """The figures of one queue server since its start."""

    def __init__(self) -> None:
        self._recorder = Recorder(RECORDED)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._recorder.count(REQUESTS, operation, str(status))
        self._recorder.observe(REQUEST_SECONDS, seconds, operation)

    def claim(self, seconds: float) -> None:
        """Count one look for items."""
        self._recorder.observe(CLAIM_SECONDS, seconds)

    def leased(self, waited_seconds: Iterable[float | None]) -> None:
        """Count leased items by how long they waited; None: leased before under the same claim."""
        for seconds in waited_seconds:
            if seconds is not None:
                self._recorder.observe(WAIT_SECONDS, seconds)

    def leases_ended(self, leases: int) -> None:
        """Count leases that ended without an acknowledgement."""
        self._recorder.count(LEASES_ENDED, by=leases)

    def transaction(self, access: str, seconds: float) -> None:
        """Count a transaction; `access` is read or write."""
        self._recorder.observe(DATABASE_SECONDS, seconds, access)

    def database_failed(self) -> None:
        """Count a transaction that the database failed."""
        self._recorder.count(DATABASE_ERRORS)

    def families(self) -> list[Family]:
        """What was counted up to now."""
        return [gauge(INFO, {(__version__,): 1.0}), *self._recorder.families()]
