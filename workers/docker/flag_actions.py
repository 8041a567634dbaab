"""Flags of `docker run` that are more than a field of the Engine API: what each does to a request. Pure.

Each function writes one value of a flag, by the flag's name, into a draft; raises ``ValueError`` with the end of a
sentence.
"""

from workers.docker import mounts, values
from workers.docker.draft import Apply, Draft
from workers.docker.health import NO_PROBES
from workers.docker.request import HOST_VARIABLES, VOLUMES, Ask, Bind, EnvFile, HostPath

#: Labels of this agent; a job's own have other names.
LABEL_PREFIX = "launchd."
#: The label that holds what the flag `name` asked for.
NAME_LABEL = "launchd.requested-name"

_MOST_PORTS = 1024


def ipc(draft: Draft, _flag: str, value: str) -> None:
    """Set the namespace of shared memory and semaphores."""
    draft.put("HostConfig.IpcMode", values.text(value))


def network(draft: Draft, _flag: str, value: str) -> None:
    """Set the network, by its name."""
    if "=" in value or "," in value:
        raise ValueError("must be the name of one network; its options have flags of their own")
    draft.put("HostConfig.NetworkMode", values.text(value))


def endpoint(field: str) -> Apply:
    """Return what sets an address on the network; ``field`` is one of ``IPAMConfig``."""

    def apply(draft: Draft, _flag: str, value: str) -> None:
        draft.endpoint.setdefault("IPAMConfig", {})[field] = values.text(value)

    return apply


def link_local(draft: Draft, _flag: str, value: str) -> None:
    """Add an address for the link alone."""
    draft.endpoint.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(values.text(value))


def alias(draft: Draft, _flag: str, value: str) -> None:
    """Add a name on the network."""
    draft.endpoint.setdefault("Aliases", []).append(values.text(value))


def label(draft: Draft, _flag: str, value: str) -> None:
    """Set a label, which must not be one of the agent's."""
    name, text = values.pair(value)
    if name.startswith(LABEL_PREFIX):
        raise ValueError(f"must not begin with {LABEL_PREFIX}, whose labels are the agent's")
    draft.enter("Labels", name, text)


def name(draft: Draft, _flag: str, value: str) -> None:
    """Keep the name that is asked for as a label."""
    draft.enter("Labels", NAME_LABEL, values.text(value))


def env(draft: Draft, flag: str, value: str) -> None:
    """Set a variable, to the host's value where there is none."""
    name, equals, _ = value.partition("=")
    values.text(name)
    draft.variables.append(value)
    if not equals:
        draft.asks.append(Ask(flag, name, HOST_VARIABLES))


def env_file(draft: Draft, _flag: str, value: str) -> None:
    """Read variables from a file of the host."""
    draft.env_files.append(EnvFile(HostPath(values.absolute(value))))


def volume(draft: Draft, flag: str, value: str) -> None:
    """Mount a volume or a path of the host."""
    _add_mount(draft, flag, mounts.parse_volume(value))


def mount(draft: Draft, flag: str, value: str) -> None:
    """Mount a volume, a path of the host or memory."""
    _add_mount(draft, flag, mounts.parse_mount(value))


def _add_mount(draft: Draft, flag: str, mount: mounts.Mount) -> None:
    if mount.kind == mounts.BIND:
        source = HostPath(mount.source)
        draft.binds.append(Bind(flag, source, mount.target, mount.read_only, mount.relabel, mount.options))
        return
    if mount.kind == mounts.VOLUME and mount.source:
        draft.asks.append(Ask(flag, mount.source, VOLUMES))
    draft.append("HostConfig.Mounts", mount.engine_fields())


def tmpfs(draft: Draft, _flag: str, value: str) -> None:
    """Mount memory."""
    path, _, options = value.partition(":")
    draft.enter("HostConfig.Tmpfs", values.absolute(path), options)


def device(draft: Draft, flag: str, value: str) -> None:
    """Give a device of the host."""
    draft.devices.append(mounts.parse_device(flag, value))


def security(draft: Draft, _flag: str, value: str) -> None:
    """Set an option of the kernel's security modules."""
    if value.startswith("seccomp=") and value != "seccomp=unconfined":
        raise ValueError("must have no seccomp profile of its own: seccomp=unconfined is the only one that is known")
    draft.append("HostConfig.SecurityOpt", values.text(value))


def storage(draft: Draft, _flag: str, value: str) -> None:
    """Set how much may be written to the container's own file system: no more than the limit, in words of its own."""
    name, text = values.pair(value)
    if name != "size":
        raise ValueError("must be size=..., the one option of storage drivers that is known")
    values.size(text)
    draft.enter("HostConfig.StorageOpt", name, text)


def expose(draft: Draft, _flag: str, value: str) -> None:
    """Name ports that the container listens at."""
    for port in values.ports(value):
        _expose(draft, port)


def publish(draft: Draft, _flag: str, value: str) -> None:
    """Give ports of the host to the container."""
    for port, binding in values.published(value):
        _expose(draft, port)
        draft.append(f"HostConfig.PortBindings.{port}", binding)


def _expose(draft: Draft, port: str) -> None:
    draft.enter("ExposedPorts", port, {})
    # The engine tells all of them at each look at the container.
    if len(draft.config["ExposedPorts"]) > _MOST_PORTS:
        raise ValueError(f"must name {_MOST_PORTS} ports at most, with those of other flags")


def health_command(draft: Draft, _flag: str, value: str) -> None:
    """Set the command that tells whether the container is well."""
    draft.enter("Healthcheck", "Test", ["CMD-SHELL", values.text(value)])


def no_health(draft: Draft, _flag: str, value: str) -> None:
    """Have no such command, the image's own included."""
    if values.switch(value):
        draft.enter("Healthcheck", "Test", [NO_PROBES])


def pull(draft: Draft, _flag: str, value: str) -> None:
    """Say when the image is pulled."""
    draft.pull = values.one_of("always", "missing", "never")(value)


def platform(draft: Draft, _flag: str, value: str) -> None:
    """Say for which platform the image is meant."""
    draft.platform = values.text(value)
