"""Shapes of GraphQL responses that are internal to `launchd.client`; the values for callers are in `models/`.

Owns names and nullability as W&B's servers have them. A field that no caller needs is not declared. No I/O.
"""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from launchd.client.models.accounts import AccountEvent, KeyDetail, Member
from launchd.client.models.artifacts import ArtifactVersion
from launchd.client.models.items import Item, ItemResult
from launchd.client.models.queues import Queue, QueueDetail

T = TypeVar("T")


class GraphQLResponse(msgspec.Struct, Generic[T]):
    """A whole GraphQL response. `errors` holds objects with a `message`, or strings."""

    data: T | None = None
    errors: list[Any] | None = None


class Result(msgspec.Struct, Generic[T]):
    """`data` of nearly all operations: their one root field has the alias `result`."""

    result: T


class Named(msgspec.Struct):
    name: str


class Edge(msgspec.Struct, Generic[T]):
    node: T


class PageInfo(msgspec.Struct, rename="camel"):
    has_next_page: bool = False
    end_cursor: str | None = None


class Connection(msgspec.Struct, Generic[T], rename="camel"):
    """A page of a list."""

    edges: list[Edge[T]] = []
    page_info: PageInfo = msgspec.field(default_factory=PageInfo)

    @property
    def nodes(self) -> list[T]:
        """The objects on this page."""
        return [edge.node for edge in self.edges]

    @property
    def next_page(self) -> str | None:
        """The cursor after which the next page begins; None for the last page."""
        return self.page_info.end_cursor if self.page_info.has_next_page else None


class TypeInfo(msgspec.Struct, rename="camel"):
    """A `__type` of an introspection."""

    fields: list[Named] | None = None
    input_fields: list[Named] | None = None

    def names(self) -> set[str]:
        """Return the names of all fields."""
        return {field.name for field in [*(self.fields or []), *(self.input_fields or [])]}


class Introspection(msgspec.Struct):
    """The types that :class:`Capabilities` are read from; a type that the server does not have is null.

    Every answer has `mutation`: what has none is no answer to the question.
    """

    mutation: TypeInfo | None
    create_agent: TypeInfo | None = None
    fail_item: TypeInfo | None = None
    queue: TypeInfo | None = None
    push: TypeInfo | None = None
    project: TypeInfo | None = None
    claim: TypeInfo | None = None
    watch: TypeInfo | None = None
    query: TypeInfo | None = None


class ViewerFields(msgspec.Struct):
    username: str | None = None
    entity: str | None = None
    teams: Connection[Named] | None = None


class AccountKind(msgspec.Struct, rename="camel"):
    is_service_account: bool = False


class RoleOfKey(msgspec.Struct, rename="camel"):
    key_role: str | None = None


class UserWithKeys(msgspec.Struct, rename="camel"):
    username: str
    api_keys: Connection[KeyDetail]


class UserWithEvents(msgspec.Struct, rename="camel"):
    username: str
    account_events: list[AccountEvent] = []


class EntityMembers(msgspec.Struct):
    name: str
    members: list[Member] = []


class Success(msgspec.Struct):
    success: bool | None = None


class StopResult(msgspec.Struct):
    success: bool
    message: str


class StoppedAgent(msgspec.Struct):
    success: bool
    stopped: tuple[str, ...] = ()


class ItemResults(msgspec.Struct):
    results: list[ItemResult] = []

    def by_item(self) -> dict[str, ItemResult]:
        """Return the answers by item id."""
        return {result.item_id: result for result in self.results}


class OutputSent(msgspec.Struct):
    """For how long more of an output is wanted, in seconds."""

    wanted_seconds: float


class CreatedAgent(msgspec.Struct, rename="camel"):
    launch_agent_id: str


class CreatedConfig(msgspec.Struct):
    id: str = msgspec.field(name="defaultResourceConfigID")


class CreatedQueue(msgspec.Struct):
    id: str = msgspec.field(name="queueID")


class UpsertedQueue(msgspec.Struct, rename="camel"):
    """`config_schema_validation_errors` are warnings: the queue is saved all the same."""

    success: bool | None = None
    config_schema_validation_errors: list[str] | None = None


class PushedItem(msgspec.Struct, rename="camel"):
    run_queue_item_id: str


class PoppedItem(msgspec.Struct, rename="camel"):
    run_queue_item_id: str
    run_spec: dict[str, Any]


class StateFields(msgspec.Struct):
    """The state of a run or a sweep."""

    id: str = ""
    state: str | None = None
    stopped: bool | None = None


class QueueFields(msgspec.Struct, rename="camel"):
    """A queue of W&B's schema; its resource is a separate object, `default_resource_config_id`."""

    id: str = ""
    access: str | None = None
    prioritization_mode: str | None = None
    default_resource_config_id: str | None = msgspec.field(default=None, name="defaultResourceConfigID")
    external_links: Any = None
    run_queue_item: Item | None = None
    run_queue_items: Connection[Item] | None = None


class ProjectFields(msgspec.Struct, rename="camel"):
    run_queues: list[Queue] = []
    run_queue: QueueFields | None = None
    run: StateFields | None = None
    sweep: StateFields | None = None


class RunFields(msgspec.Struct, rename="camel"):
    """A run; `config` and `summary_metrics` are JSON objects inside strings."""

    name: str
    display_name: str | None = None
    state: str | None = None
    stopped: bool | None = None
    config: str | None = None
    summary_metrics: str | None = None


class ProjectRun(msgspec.Struct):
    run: RunFields | None = None


class RunGit(msgspec.Struct):
    remote: str | None = None
    commit: str | None = None


class RunInfo(msgspec.Struct):
    """A run's program as its client reported it; `git` where it ran in a repository."""

    program: str | None = None
    args: list[str] | None = None
    git: RunGit | None = None


class HistoryKeys(msgspec.Struct):
    """The keys of a run's history; what else is said of each is not needed."""

    keys: dict[str, Any] = {}


class Username(msgspec.Struct):
    username: str | None = None


class ReadRun(msgspec.Struct, rename="camel"):
    """A run, as people read it; `config` and `summary_metrics` are JSON objects inside strings."""

    name: str
    display_name: str | None = None
    state: str | None = None
    host: str | None = None
    created_at: datetime | None = None
    heartbeat_at: datetime | None = None
    exitcode: int | None = None
    tags: list[str] | None = None
    group: str | None = None
    job_type: str | None = None
    sweep_name: str | None = None
    user: Username | None = None
    notes: str | None = None
    commit: str | None = None
    config: str | None = None
    summary_metrics: str | None = None
    history_line_count: int | None = None
    history_keys: HistoryKeys | None = None
    file_count: int | None = None
    run_info: RunInfo | None = None


class ProjectRuns(msgspec.Struct):
    runs: Connection[ReadRun] = msgspec.field(default_factory=Connection[ReadRun])


class ProjectReadRun(msgspec.Struct):
    run: ReadRun | None = None


class SampledHistory(msgspec.Struct, rename="camel"):
    """For each spec a list of lines, each with the keys of the spec."""

    sampled_history: list[list[dict[str, Any]]] | None = None


class ProjectHistory(msgspec.Struct):
    run: SampledHistory | None = None


class RunWithInfo(msgspec.Struct, rename="camel"):
    run_info: RunInfo | None = None


class ProjectRunInfo(msgspec.Struct):
    run: RunWithInfo | None = None


class ProjectQueueDetails(msgspec.Struct, rename="camel"):
    run_queues: list[QueueDetail] = []
    run_queue: QueueDetail | None = None


class TemplateVariable(msgspec.Struct):
    """One placeholder of a queue's configuration; `schema` is a JSON object inside a string."""

    name: str
    schema: str | None = None


class ResourceConfig(msgspec.Struct, rename="camel"):
    config: Any = None
    resource: str | None = None
    template_variables: list[TemplateVariable] | None = None


class EntityFields(msgspec.Struct, rename="camel"):
    is_team: bool = False
    default_resource_config: ResourceConfig | None = None


class ArtifactFields(msgspec.Struct):
    id: str


class CommittedArtifact(msgspec.Struct):
    artifact: ArtifactFields


class NewestVersion(msgspec.Struct, rename="camel"):
    """The latest version of a collection before the new one; null for the first version."""

    latest_artifact: ArtifactFields | None = None


class CreatedVersion(msgspec.Struct, rename="camel"):
    id: str
    state: str = ""
    artifact_sequence: NewestVersion = msgspec.field(default_factory=NewestVersion)


class CreatedArtifact(msgspec.Struct):
    artifact: CreatedVersion


class Membership(msgspec.Struct):
    artifact: ArtifactVersion | None = None


class FoundVersion(msgspec.Struct, rename="camel"):
    """The fields of a project that lead to one version."""

    artifact: ArtifactVersion | None = None
    artifact_collection_membership: Membership | None = None


class CollectionFields(msgspec.Struct):
    artifacts: Connection[ArtifactVersion] | None = None


class TypeFields(msgspec.Struct, rename="camel"):
    artifact_collections: Connection[CollectionFields] | None = None


class ProjectArtifactType(msgspec.Struct, rename="camel"):
    artifact_type: TypeFields | None = None


class UploadHeaders(msgspec.Struct, rename="camel"):
    """Headers of an upload by PUT; each is written `Name:Value`."""

    upload_headers: list[str] | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers by name."""
        pairs = (header.partition(":") for header in self.upload_headers or ())
        return {name: value.strip() for name, _, value in pairs}


class UploadTarget(UploadHeaders, rename="camel"):
    """The target of an upload by PUT. No `upload_url`: the server has the content already."""

    upload_url: str | None = None


class RunFile(msgspec.Struct, rename="camel"):
    name: str
    upload_url: str


class CreatedRunFiles(UploadHeaders, kw_only=True):
    """The targets of files of a run; all have the same headers."""

    files: list[RunFile]


class CreatedFiles(msgspec.Struct):
    files: Connection[UploadTarget]


class ManifestFields(msgspec.Struct):
    id: str
    file: UploadTarget


class CreatedManifest(msgspec.Struct, rename="camel"):
    artifact_manifest: ManifestFields


class FileFields(msgspec.Struct, rename="camel"):
    """A stored file. `digest` is its MD5 in base64; no `direct_url`: its content was never uploaded."""

    name: str
    direct_url: str | None = None
    digest: str | None = None
    size_bytes: int | None = None


class ArtifactFiles(msgspec.Struct):
    metadata: str | None = None
    files: Connection[FileFields] | None = None
