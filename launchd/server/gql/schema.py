"""Builds the executable schema from `schema/*.graphql` and the resolvers, with Python's names for GraphQL's."""

import re
from pathlib import Path

from ariadne import load_schema_from_path, make_executable_schema
from graphql import GraphQLSchema

from launchd.server.gql.scalars import scalars
from launchd.server.key_scopes import guard_mutations
from launchd.server.resolvers import bindables

_TEXT = Path(__file__).parent.parent / "schema"
_ACRONYMS = {"ID": "Id", "IDs": "Ids", "MD5": "Md5"}


def build_schema() -> GraphQLSchema:
    """The executable schema."""
    schema = make_executable_schema(
        load_schema_from_path(str(_TEXT)), *scalars, *bindables, convert_names_case=_python_name
    )
    return guard_mutations(schema)


def _python_name(name: str, _schema: GraphQLSchema, _path: tuple[str, ...]) -> str:
    """ClientMutationId -> client_mutation_id, queueIDs -> queue_ids."""
    plain = re.sub(r"IDs?(?=[A-Z]|$)|MD5", lambda found: _ACRONYMS[found[0]], name)
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda found: f"_{found[0]}", plain).lower()
