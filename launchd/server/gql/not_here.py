"""What W&B's server has and this one has not: a sentence in place of what GraphQL says of fields that are not known.

Older clients show nothing of an answer with an error's status but the status, so these answers have the status 200.
"""

import re
from collections.abc import Iterable, Mapping

from launchd.server.store.artifacts.links import NO_REGISTRIES

_AUTOMATIONS = "This queue server has no automations; its metrics show what happens, and run.alert() sends a word."
_LINKS_FOR_ALL = "This queue server has no links that show a report without an account: give people accounts."

NOT_HERE: Mapping[str, str] = {
    "createCustomChart": "This queue server keeps no custom charts: log the values, and draw what history() gives.",
    "createFilterTrigger": _AUTOMATIONS,
    "updateFilterTrigger": _AUTOMATIONS,
    "deleteTrigger": _AUTOMATIONS,
    "triggers": _AUTOMATIONS,
    "integrations": _AUTOMATIONS,
    "createGenericWebhookIntegration": _AUTOMATIONS,
    "createProjectMembers": NO_REGISTRIES,
    "deleteProjectMembers": NO_REGISTRIES,
    "updateProjectMember": NO_REGISTRIES,
    "updateProjectTeamMember": NO_REGISTRIES,
    "allowAllArtifactTypesInRegistry": NO_REGISTRIES,
    "advancedRegistryFeatures": NO_REGISTRIES,
    "artifactMemberships": NO_REGISTRIES,
    "members": NO_REGISTRIES,
    "teamMembers": NO_REGISTRIES,
    "featureFlags": NO_REGISTRIES,
    "artifactCollections": NO_REGISTRIES,
    "accessTokens": _LINKS_FOR_ALL,
    "createAccessToken": _LINKS_FOR_ALL,
    "updateAccessTokenProjects": _LINKS_FOR_ALL,
    "revokeAccessToken": _LINKS_FOR_ALL,
    "renameProject": "Projects keep their name on this queue server.",
    "deleteModel": "Projects are not deleted on this queue server: delete their runs and artifacts.",
    "createAnonymousEntity": "This queue server has no anonymous accounts: its administrator makes accounts.",
    "enqueueSweepRun": "This queue server chooses the runs of a sweep itself, or a scheduler that is a job does.",
}
"""The sentence for each field that the schema has not where W&B's clients ask for it."""

_UNKNOWN = re.compile(r"Cannot query field '(\w+)'")


def sentence_for(complaints: Iterable[str]) -> str | None:
    """Return the sentence for a document that is not valid, if it asks for something of W&B's server alone.

    Args:
        complaints: what GraphQL's validation says of the document.
    """
    found = (_UNKNOWN.match(complaint) for complaint in complaints)
    return next((NOT_HERE[match[1]] for match in found if match and match[1] in NOT_HERE), None)
