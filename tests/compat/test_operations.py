"""No operation in the program of a client is unknown to the schema, but for those that are listed with their reason."""

import re

from launchd.server.gql.not_here import NOT_HERE
from launchd.server.gql.schema import build_schema
from tests.compat.clients import WandbClient
from tests.compat.operations import Operations

#: Fields, with the reason why the schema need not have them.
NOT_SENT = {
    "markRunFilesUploaded": "sent where serverInfo names the feature alone",
    "projects": "of a user, for automations alone",
}
#: Operations that ask for something this server answers with a sentence of `NOT_HERE`, by parts of their names.
REFUSED_WITH_A_SENTENCE = (
    "Automation|Trigger|Integration|Registr|Regist|CustomChart|AnonymousApiKey|SweepRun|renameProject|deleteProject|"
    "AdvancedRegistry|OrgFeature|Collections|Versions|Members|UpsertRegistryProject"
)
#: Sent only where the schema has them, which the client asks first.
LOOKED_FOR = "ArtifactFileURLsByManifestEntries"
_FIELD = re.compile(r"Cannot query field '(\w+)'")


def test_the_schema_knows_what_the_client_may_send(client: WandbClient) -> None:
    unknown = {
        complaint: names
        for complaint, names in Operations(client.home).complaints(build_schema()).items()
        if not _is_expected(complaint, names)
    }
    assert unknown == {}


def _is_expected(complaint: str, names: set[str]) -> bool:
    match = _FIELD.match(complaint)
    if match and match[1] in {*NOT_HERE, *NOT_SENT}:
        return True
    return all(re.search(f"{REFUSED_WITH_A_SENTENCE}|{LOOKED_FOR}", name) for name in names)
