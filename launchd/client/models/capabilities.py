"""What a queue server can do."""

import msgspec


class Capabilities(msgspec.Struct, frozen=True):
    """The operations and arguments that a server has, found by introspection.

    `launchd_protocol`: it is launchd's own server, with claims that wait, watches and reports. `is_private`: its items
    are for this agent alone, so that none of them waits here in place of elsewhere. `gpu_claims`: it hands out what
    fits the GPUs that a claim says are free. `outputs`: it passes on and keeps the output of jobs.
    `find_items`: it finds items by the beginning of an id and the like. `queue_control`: it pauses queues, moves
    items that wait, and changes their priorities. `agent_control`: it takes back that an agent was asked to
    leave, stops all items of one, and says which it has.
    """

    launch_agents: bool
    agent_config: bool
    fail_item: bool
    fail_details: bool
    item_warnings: bool
    push_priority: bool
    launchd_protocol: bool
    queue_config: bool
    item_by_id: bool
    run_files: bool
    push_key: bool
    artifact_memberships: bool = False
    is_private: bool = False
    gpu_claims: bool = False
    outputs: bool = False
    find_items: bool = False
    queue_control: bool = False
    agent_control: bool = False
