"""Who we are, and what the server can do."""

from launchd.client.answers import Introspection, ViewerFields
from launchd.client.documents.operation import Operation, Root, query

CAPABILITIES: Operation[Introspection] = Operation(
    "Capabilities",
    """query Capabilities {
  mutation: __type(name: "Mutation") { fields { name } }
  create_agent: __type(name: "CreateLaunchAgentInput") { inputFields { name } }
  fail_item: __type(name: "FailRunQueueItemInput") { inputFields { name } }
  push: __type(name: "PushToRunQueueByNameInput") { inputFields { name } }
  queue: __type(name: "RunQueue") { fields { name } }
}""",
    Introspection,
)

VIEWER: Root[ViewerFields | None] = query(
    "Viewer", "", "viewer { entity username teams { edges { node { name } } } }", ViewerFields | None
)
