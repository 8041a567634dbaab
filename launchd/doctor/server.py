"""The queue server: whether it answers, what the key may do, whose clock is wrong, and the queues of the agent."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ipc.extras import how_to_install
from ipc.policy_rules import PolicyRules
from ipc.targets import find_target
from launchd.client.clock import clock_difference
from launchd.client.credentials import SERVICE_KEY_FILE, SYSTEMD_CREDENTIALS, find_api_key, find_base_url
from launchd.client.errors import QueueServerError, ServerUnreachable, Unauthorized
from launchd.client.queue_server import QueueDetail, QueueServer
from launchd.doctor.extras import missing_packages
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host

SILENCE = ("The queue server, or the way to it, does not answer.", "Is it running, and is a firewall or proxy between?")

_ANSWER_SECONDS = 8.0

#: Above these many seconds a clock is worth a word; from the second on, signed requests of clouds are refused.
_ODD_CLOCK, _WRONG_CLOCK = 10.0, 240.0

_SERVES = ("AGENT", "MEMBER", "ADMIN")


def _address(host: Host) -> str:
    return host.url or find_base_url(host.environ, host.config.launchd.base_url).url


def _client(host: Host) -> QueueServer:
    """Return a client with the agent's key; that of the service is read where the administrator put it."""
    address = _address(host)
    file = host.config.launchd.api_key_file
    if file and Path(file).is_relative_to(SYSTEMD_CREDENTIALS) and not Path(file).exists():
        file = SERVICE_KEY_FILE
    return QueueServer(address, find_api_key(address, host.environ, file).key, timeout=_ANSWER_SECONDS)


def check_server(host: Host) -> Iterator[Finding]:
    """Ask who the owner of the key is, and what the key is for."""
    try:
        with closing(_client(host)) as server:
            viewer, role = server.viewer(), server.key_role()
    except ServerUnreachable as error:
        yield fail(
            str(error),
            "The agent gets no jobs; those that run go on, and are reported later.",
            "Start the server, or correct launchd.base_url or WANDB_BASE_URL.",
        )
        return
    except Unauthorized as error:
        yield fail(
            str(error),
            "The agent cannot register.",
            "Make a key (`launchd key create --role agent`), and look at the check of the clock: a clock that is wrong "
            "makes good keys fail at some servers.",
        )
        return
    except QueueServerError as error:
        yield fail(str(error), "The agent does not start.", "Give it the key and the address of its queue server.")
        return
    yield _of_role(f"{_address(host)} answers, and knows {viewer.username or 'the owner of the key'}", role)


def _of_role(sentence: str, role: str | None) -> Finding:
    if role is None:
        return ok(f"{sentence}; it does not say what the key is for.")
    if role not in _SERVES:
        return fail(
            f"{sentence}, whose key has the role {role.lower()}.",
            "With such a key nothing can be taken off a queue.",
            "Make one for the agent: `launchd key create --role agent`.",
        )
    return ok(f"{sentence}; the key has the role {role.lower()}.")


def check_clock(host: Host) -> Iterator[Finding]:
    """Compare this host's clock with that of the server, by the date of an answer."""
    try:
        ahead = clock_difference(_address(host), _ANSWER_SECONDS)
    except QueueServerError:
        yield not_applicable("The queue server does not answer, so there is no clock to compare with.")
        return
    if ahead is None:
        yield not_applicable("The queue server does not say what time it is.")
    elif abs(ahead) < _ODD_CLOCK:
        yield ok("This host and the queue server have the same time.")
    else:
        words = f"This host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the queue server's."
        meaning = "Keys with a time limit and requests that are signed are refused (HTTP 401 or 403), and logs mislead."
        fix = "Have one of chrony, ntpd and systemd-timesyncd run here: `timedatectl set-ntp true`."
        yield (fail if abs(ahead) >= _WRONG_CLOCK else warn)(words, meaning, fix)


def check_queues(host: Host) -> Iterator[Finding]:
    """Ask for each queue of the agent whether there is one, and whether this host may run its type."""
    try:
        with closing(_client(host)) as server:
            entity = host.config.entity or server.viewer().entity or ""
            found = {name: server.queue(entity, name) for name in host.config.queues}
    except QueueServerError:
        yield not_applicable("The queue server does not answer, or not to this key.")
        return
    rules = dict(host.rules())
    for name, queue in found.items():
        yield _of_queue(entity, name, queue, rules[name])


def _of_queue(entity: str, name: str, queue: QueueDetail | None, rules: PolicyRules) -> Finding:
    if queue is None:
        return fail(
            f"There is no queue {name!r} of {entity!r}.",
            "The agent cannot take jobs from it.",
            f"Create it (`launchd queue create {shlex.quote(name)}`), or correct queues and entity in the"
            " configuration.",
        )
    kind = queue.resource_type
    target = find_target(kind) if kind else None
    if kind is None:
        return ok(f"The queue {name!r} of {entity!r} exists.")
    if target is None or target.runner is None:
        return fail(
            f"The queue {name!r} is for {kind}, which this agent cannot run.",
            "Each of its jobs fails here.",
            "Serve it with another agent.",
        )
    if not {*target.words} & {*rules.resources}:
        return fail(
            f"The queue {name!r} is for {kind}, which the policy of this host does not grant.",
            "Each of its jobs is refused here.",
            f"Add {target.name} to launchd.policy.resources, or take the queue out of queues.",
        )
    if target.extra and (missing := missing_packages(target.extra)):
        return fail(
            f"The queue {name!r} is for {kind}, and what that needs is not installed: {', '.join(missing)}.",
            "Each of its jobs fails here.",
            f"Install that: {how_to_install(target.extra)}.",
        )
    return ok(f"The queue {name!r} of {entity!r} is for {kind}, which this host runs.")
