"""W&B's GraphQL schema, as far as recorded requests of its clients prove it.

Built from ``wandb_recordings.json``: a field, an argument or an input field is in it because some client of W&B's sent
it, with the type under which it was sent; anything else is refused as W&B's server refuses it. By hand are only the
names of object types, which a request does not tell, and the names that clients look up in an introspection.
"""

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    build_schema,
    parse,
    print_ast,
)

RECORDINGS = Path(__file__).parent / "wandb_recordings.json"

#: The object types of fields, by parent type and name. A field that is not here is a leaf.
OBJECTS = {
    "Query": {
        "viewer": "User",
        "serverInfo": "ServerInfo",
        "entity": "Entity",
        "project": "Project",
        "model": "Project",
        "launchAgent": "LaunchAgent",
        "artifact": "Artifact",
    },
    "User": {"teams": "TeamConnection", "apiKeys": "ApiKeyConnection"},
    "TeamConnection": {"edges": "[TeamEdge!]"},
    "TeamEdge": {"node": "Team"},
    "ApiKeyConnection": {"edges": "[ApiKeyEdge!]"},
    "ApiKeyEdge": {"node": "ApiKey"},
    "ServerInfo": {"features": "[ServerFeature!]", "latestLocalVersionInfo": "LatestLocalVersionInfo"},
    "Entity": {"organization": "Organization", "defaultResourceConfig": "DefaultResourceConfig"},
    "DefaultResourceConfig": {"templateVariables": "[TemplateVariable!]"},
    "Project": {
        "entity": "Entity",
        "runQueues": "[RunQueue!]",
        "runQueue": "RunQueue",
        "run": "Run",
        "bucket": "Run",
        "sweep": "Sweep",
        "artifact": "Artifact",
        "artifactType": "ArtifactType",
        "artifactCollection": "ArtifactCollection",
        "artifactCollectionMembership": "ArtifactCollectionMembership",
    },
    "RunQueue": {"runQueueItems": "RunQueueItemConnection", "runQueueItem": "RunQueueItem"},
    "RunQueueItemConnection": {"edges": "[RunQueueItemEdge!]"},
    "RunQueueItemEdge": {"node": "RunQueueItem"},
    "Run": {"project": "Project", "user": "User", "runInfo": "RunInfo"},
    "RunInfo": {"git": "GitInfo"},
    "Sweep": {"project": "Project", "runs": "RunConnection"},
    "RunConnection": {"edges": "[RunEdge!]"},
    "RunEdge": {"node": "Run"},
    "Artifact": {
        "artifactSequence": "ArtifactSequence",
        "artifactType": "ArtifactType",
        "aliases": "[ArtifactAlias!]",
        "tags": "[Tag!]",
        "currentManifest": "ArtifactManifest",
        "files": "FileConnection",
    },
    "ArtifactManifest": {"file": "File"},
    "ArtifactAlias": {"artifactCollection": "ArtifactCollection"},
    "ArtifactType": {"artifactCollections": "ArtifactCollectionConnection"},
    "ArtifactCollectionConnection": {"edges": "[ArtifactCollectionEdge!]", "pageInfo": "PageInfo"},
    "ArtifactCollectionEdge": {"node": "ArtifactCollection"},
    "ArtifactCollection": {
        "project": "Project",
        "artifactMembership": "ArtifactCollectionMembership",
        "artifacts": "ArtifactConnection",
        "aliases": "[ArtifactAlias!]",
        "artifactSequence": "ArtifactSequence",
        "latestArtifact": "Artifact",
    },
    "ArtifactConnection": {"edges": "[ArtifactEdge!]"},
    "ArtifactEdge": {"node": "Artifact"},
    "ArtifactCollectionMembership": {
        "aliases": "[ArtifactAlias!]",
        "artifact": "Artifact",
        "artifactCollection": "ArtifactCollection",
        "files": "FileConnection",
    },
    "FileConnection": {"edges": "[FileEdge!]", "pageInfo": "PageInfo"},
    "FileEdge": {"node": "File"},
    "File": {"uploadMultipartUrls": "UploadMultipartUrls", "artifact": "Artifact"},
    "UploadMultipartUrls": {"uploadUrlParts": "[UploadUrlPart!]"},
    "UpsertModelPayload": {"project": "Project", "model": "Project"},
    "UpsertBucketPayload": {"bucket": "Run"},
    "UpsertSweepPayload": {"sweep": "Sweep"},
    "CreateAgentPayload": {"agent": "Agent"},
    "AgentHeartbeatPayload": {"agent": "Agent"},
    "CreateRunFilesPayload": {"files": "[RunFile!]"},
    "CreateArtifactPayload": {"artifact": "Artifact"},
    "CreateArtifactFilesPayload": {"files": "FileConnection"},
    "CreateArtifactManifestPayload": {"artifactManifest": "ArtifactManifest"},
    "CommitArtifactPayload": {"artifact": "Artifact"},
    "UseArtifactPayload": {"artifact": "Artifact"},
    "DeleteArtifactPayload": {"artifact": "Artifact"},
    "DeleteArtifactSequencePayload": {"artifactCollection": "ArtifactSequence"},
}
OBJECTS["ArtifactSequence"] = OBJECTS["ArtifactCollection"]

#: Names that clients look for in an introspection, and use where they find them.
PROBED = {"PushToRunQueueInput": {"priority": "Int"}, "CreateArtifactInput": {"tags": "Recorded"}}

#: What W&B's public API puts into mutations that no recorded request held.
UNRECORDED_INPUTS = {
    "DeleteArtifactInput": {"artifactID": "ID!", "deleteAliases": "Boolean"},
    "DeleteArtifactSequenceInput": {"artifactSequenceID": "ID!"},
}

#: What W&B's public API asks of connections, files and deletions, and no recorded request did: fields with arguments.
UNRECORDED: dict[str, dict[str, dict[str, str]]] = {
    "File": {"digest": {}, "sizeBytes": {}},
    "ArtifactType": {"artifactCollections": {"after": "String"}},
    "ArtifactCollectionConnection": {"pageInfo": {}},
    "Mutation": {
        "deleteArtifact": {"input": "DeleteArtifactInput!"},
        "deleteArtifactSequence": {"input": "DeleteArtifactSequenceInput!"},
    },
    "DeleteArtifactPayload": {"artifact": {}},
    "DeleteArtifactSequencePayload": {"artifactCollection": {}},
    "ArtifactSequence": {"id": {}},
}

#: What a server from before launch agents, failure details and priorities lacks, by type.
OLD_SERVER_LACKS = {
    "Query": {"launchAgent"},
    "Mutation": {"createLaunchAgent", "updateLaunchAgent", "updateRunQueueItemWarning", "createDefaultResourceConfig"},
    "FailRunQueueItemInput": {"message", "stage", "filePaths"},
    "PushToRunQueueByNameInput": {"priority", "templateVariableValues"},
    "PushToRunQueueInput": {"priority", "templateVariableValues"},
    "CreateRunQueueInput": {"defaultResourceConfigID", "prioritizationMode"},
    "RunQueue": {"runQueueItem"},
    "LaunchAgent": None,
}

_LEAF = "Recorded"
_INTERFACE = "ArtifactCollection"


class Recording(msgspec.Struct):
    """One request of a client of W&B's, and the answer that it could work with."""

    operation: str
    client: str
    query: str
    variables: dict[str, Any]
    answer: Any = None


@cache
def recordings() -> list[Recording]:
    """Return all recorded GraphQL requests."""
    return msgspec.convert(json.loads(RECORDINGS.read_text()), list[Recording])


@cache
def modern_schema() -> GraphQLSchema:
    """Return the schema of everything that was recorded."""
    return build_schema(_Evidence(recordings()).sdl({}))


@cache
def old_schema() -> GraphQLSchema:
    """Return the schema of a server that clients find little in."""
    return build_schema(_Evidence(recordings()).sdl(OLD_SERVER_LACKS))


class _Evidence:
    """What the recordings prove: fields with their arguments, and inputs, by type."""

    def __init__(self, recorded: list[Recording]) -> None:
        self._fields: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        self._inputs: dict[str, dict[str, str]] = defaultdict(dict)
        for name, fields in (PROBED | UNRECORDED_INPUTS).items():
            self._inputs[name] |= fields
        for name, known in UNRECORDED.items():
            self._fields[name] |= {field: dict(arguments) for field, arguments in known.items()}
        for recording in recorded:
            self._read(recording, parse(recording.query))

    def _read(self, recording: Recording, document: DocumentNode) -> None:
        operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._variables = {one.variable.name.value: print_ast(one.type) for one in operation.variable_definitions or ()}
        self._values = recording.variables
        self._select(operation.operation.value.capitalize(), operation.selection_set)

    def _select(self, parent: str, selections: SelectionSetNode) -> None:
        for selection in selections.selections:
            match selection:
                case FieldNode() if not selection.name.value.startswith("__"):
                    self._note(parent, selection)
                case InlineFragmentNode(type_condition=condition):
                    self._select(condition.name.value if condition else parent, selection.selection_set)
                case FragmentSpreadNode():
                    fragment = self._fragments[selection.name.value]
                    self._select(fragment.type_condition.name.value, fragment.selection_set)

    def _note(self, parent: str, field: FieldNode) -> None:
        name = field.name.value
        arguments = self._fields[parent][name]
        for argument in field.arguments or ():
            _merge(arguments, argument.name.value, self._type_of(argument, name))
        if field.selection_set is not None:
            self._select(_object_type(parent, name).strip("[!]"), field.selection_set)

    def _type_of(self, argument: ArgumentNode, field: str) -> str:
        if isinstance(argument.value, ObjectValueNode):
            input_type = f"{_capital(field)}Input"
            for entry in argument.value.fields:
                _merge(self._inputs[input_type], entry.name.value, self._value_type(entry.value))
            return f"{input_type}!"
        declared = self._value_type(argument.value)
        if declared.endswith("Input!") and isinstance(argument.value, VariableNode):
            for key in self._values[argument.value.name.value]:
                self._inputs[declared.strip("!")].setdefault(key, _LEAF)
        return declared

    def _value_type(self, value: ValueNode) -> str:
        match value:
            case VariableNode():
                return self._variables[value.name.value]
            case ListValueNode():
                return f"[{self._value_type(value.values[0])}]"
            case _:
                return {"int_value": "Int", "string_value": "String", "boolean_value": "Boolean"}.get(value.kind, _LEAF)

    def sdl(self, lacking: dict[str, set[str] | None]) -> str:
        """Return the schema's text without what is ``lacking``."""
        self._fields["ArtifactSequence"] |= self._fields[_INTERFACE]
        gone = {name for name, fields in lacking.items() if fields is None}
        texts = [
            self._object(name, fields, lacking.get(name) or set())
            for name, fields in self._fields.items()
            if name not in gone
        ]
        texts += [_block("input", name, fields, lacking.get(name) or set()) for name, fields in self._inputs.items()]
        return "\n".join([*texts, *self._scalars()])

    def _object(self, name: str, fields: dict[str, dict[str, str]], lacking: set[str]) -> str:
        lines = {
            f"{field}{_arguments(arguments)}": _object_type(name, field)
            for field, arguments in fields.items()
            if field not in lacking
        }
        if name == _INTERFACE:
            return _block("interface", name, lines, set())
        suffix = f" implements {_INTERFACE}" if name == "ArtifactSequence" else ""
        return _block("type", name + suffix, lines, set())

    def _scalars(self) -> list[str]:
        used = {_LEAF}
        for types in [*self._inputs.values(), *(args for fields in self._fields.values() for args in fields.values())]:
            used |= {text.strip("[]!") for text in types.values()}
        built_in = {"String", "Int", "Boolean", "ID", "Float", *self._inputs}
        return [f"scalar {name}" for name in sorted(used - built_in)]


def _merge(known: dict[str, str], name: str, found: str) -> None:
    """Note a type under which something was sent; where it was once sent as nullable, it is."""
    before = known.get(name, _LEAF)
    if before == _LEAF or (found != _LEAF and not found.endswith("!")):
        known[name] = found


def _object_type(parent: str, field: str) -> str:
    if parent == "Mutation":
        return f"{_capital(field)}Payload"
    return OBJECTS.get(parent, {}).get(field, _LEAF)


def _arguments(arguments: dict[str, str]) -> str:
    return f"({', '.join(f'{name}: {kind}' for name, kind in arguments.items())})" if arguments else ""


def _block(keyword: str, name: str, lines: dict[str, str], lacking: set[str]) -> str:
    body = "\n".join(f"  {line}: {kind}" for line, kind in lines.items() if line not in lacking)
    return f"{keyword} {name} {{\n{body}\n}}"


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
