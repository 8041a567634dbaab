"""The owner of the key, the server's capabilities, users, teams and keys, under W&B's names where W&B has one."""

from typing import Any

from launchd.client.models.accounts import CreatedKey, DeletedAccount, ResetKeys, UserDetail
from launchd.client.operations.operation import Operation, Root, launchd_mutation, query
from launchd.client.responses import (
    Connection,
    EntityMembers,
    Introspection,
    RoleOfKey,
    Success,
    UserWithEvents,
    UserWithKeys,
    ViewerFields,
)

DELETED = "keys queues serviceAccounts"

CAPABILITIES: Operation[Introspection] = Operation(
    "Capabilities",
    """query Capabilities {
  mutation: __type(name: "Mutation") { fields { name } }
  create_agent: __type(name: "CreateLaunchAgentInput") { inputFields { name } }
  fail_item: __type(name: "FailRunQueueItemInput") { inputFields { name } }
  push: __type(name: "PushToRunQueueByNameInput") { inputFields { name } }
  project: __type(name: "Project") { fields { name } }
  queue: __type(name: "RunQueue") { fields { name } }
  claim: __type(name: "ClaimRunQueueItemsInput") { inputFields { name } }
  query: __type(name: "Query") { fields { name } }
  watch: __type(name: "WatchLaunchAgentInput") { inputFields { name } }
}""",
    Introspection,
)

VIEWER: Root[ViewerFields | None] = query(
    "Viewer", "", "viewer { entity username teams { edges { node { name } } } }", ViewerFields | None
)

ROLE: Root[RoleOfKey | None] = query("RoleOfKey", "", "viewer { keyRole }", RoleOfKey | None)

KEYS: Root[Connection[UserWithKeys]] = query(
    "ApiKeys",
    "$name: String",
    "users(query: $name) { edges { node { username apiKeys { edges { node {"
    " id description role createdAt lastUsedAt } } } } } }",
    Connection[UserWithKeys],
)
USERS: Root[Connection[UserDetail]] = query(
    "Users",
    "",
    "users { edges { node { id username email entity admin isServiceAccount } } }",
    Connection[UserDetail],
)
MEMBERS: Root[EntityMembers | None] = query(
    "Members",
    "$entity: String!",
    "entity(name: $entity) { name members { id username email role accountType } }",
    EntityMembers | None,
)
EVENTS: Root[Connection[UserWithEvents]] = query(
    "AccountEvents",
    "$name: String",
    "users(query: $name) { edges { node { username accountEvents { actor createdAt sentence } } } }",
    Connection[UserWithEvents],
)
RESET_KEYS: Root[ResetKeys] = launchd_mutation("resetApiKeys", "revoked key file", ResetKeys)
CREATE_KEY: Root[CreatedKey] = launchd_mutation("generateApiKey", "key", CreatedKey)
REVOKE_KEY: Root[Success] = launchd_mutation("deleteApiKey", "success", Success)
CREATE_USER: Root[CreatedKey] = launchd_mutation("createUser", "key", CreatedKey)
CREATE_TEAM: Root[Any] = launchd_mutation("createTeam", "entity { name }", Any)
ADD_MEMBER: Root[Any] = launchd_mutation("createInvite", "invite { id }", Any)
REMOVE_MEMBER: Root[Success] = launchd_mutation("deleteInvite", "success", Success)
CREATE_SERVICE_ACCOUNT: Root[Any] = launchd_mutation("createServiceAccount", "user { id }", Any)
DELETE_USER: Root[DeletedAccount] = launchd_mutation("deleteUser", DELETED, DeletedAccount)
DELETE_TEAM: Root[DeletedAccount] = launchd_mutation("deleteTeam", DELETED, DeletedAccount)
DELETE_SERVICE_ACCOUNT: Root[DeletedAccount] = launchd_mutation("deleteServiceAccount", DELETED, DeletedAccount)
