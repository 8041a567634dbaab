"""What this host's administrator grants of a cluster: a manifest is searched for what is not. Pure.

The agent's own rights in the cluster are the outer border; these rules are the inner one, for those who can push to a
queue. What is refused without a grant is what W&B's agent refuses (0.28.1), and other kinds of object on top.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from ipc.policy_rules import KubernetesRules
from workers.kubernetes.arguments import JOB_VERSIONS, Arguments

#: Each is granted by its name in ``launchd.policy.kubernetes.fields``.
_REFUSED_KEYS = frozenset({"securityContext", "serviceAccountToken"})
_REFUSED_WHERE_TRUE = frozenset(
    {
        "hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace", "hostUsers", "automountServiceAccountToken",
        "hostPort",
    }
)  # fmt: skip
_ACCOUNT_KEYS = frozenset({"serviceAccountName", "serviceAccount"})
#: What a `securityContext` needs another grant for.
PRIVILEGED = "privileged"
_UNCONFINED = "unconfined"
_CONFINING = ("apparmor", "seccomp")

#: Types of Services that are for more than the cluster.
_EXPOSED = ("NodePort", "LoadBalancer", "ExternalName")

#: How the Secrets that agents make begin.
OWN_SECRETS = "launchd-"

Found = tuple[str, str, Any]


def refusals(arguments: Arguments, namespace: str, rules: KubernetesRules) -> list[str]:
    """Return a sentence for each thing that the job asks for and the rules do not grant."""
    return [*_of_namespace(namespace, rules), *_of_kind(arguments, rules), *_of_manifest(arguments, rules)]


def refuse_image(image: str, rules: KubernetesRules) -> str | None:
    """Return why a container may not be of ``image``, or ``None``."""
    if _is_granted(image, rules.images):
        return None
    return _sentence(f"the image {image}", "images", rules.images)


def service_refusals(services: Iterable[dict[str, Any]], rules: KubernetesRules) -> list[str]:
    """Return a sentence for each thing that objects beside a job ask for and the rules do not grant."""
    found = []
    for service in services:
        group, has_group, _ = str(service.get("apiVersion")).partition("/")
        kind = f"{group}/{service.get('kind')}" if has_group else str(service.get("kind"))
        if not _is_granted(kind, rules.services):
            found.append(_sentence(f"the kind {kind} in additional_services", "services", rules.services))
        found += _of_manifest(Arguments(service), rules)
    return found


def claim_refusals(manifests: Iterable[Any], own: str) -> list[str]:
    """Return a sentence for each place where the claim ``own``, with the files of other jobs, is named."""
    return [
        f"{place}: The claim {own} is the agent's, and no job may name it."
        for manifest in manifests
        for place, key, value in _walk(manifest, "")
        if key == "claimName" and value == own
    ]


def access_refusals(arguments: Arguments, rules: KubernetesRules) -> list[str]:
    """Return a sentence for each way to a cluster that the job names and the rules do not grant."""
    return list(_of_access(arguments, rules))


def _of_namespace(namespace: str, rules: KubernetesRules) -> Iterator[str]:
    if not _is_granted(namespace, rules.namespaces):
        yield _sentence(f"the namespace {namespace}", "namespaces", rules.namespaces)


def _of_access(arguments: Arguments, rules: KubernetesRules) -> Iterator[str]:
    if arguments.context is not None and not _is_granted(arguments.context, rules.contexts):
        yield _sentence(f"the context {arguments.context}", "contexts", rules.contexts)
    file = arguments.config_file
    if file is not None and (".." in file.split("/") or not any(_is_below(file, one) for one in rules.config_files)):
        yield _sentence(f"the configFile {file}", "config_files", rules.config_files)


def _of_kind(arguments: Arguments, rules: KubernetesRules) -> Iterator[str]:
    if arguments.is_job:
        if arguments.manifest.get("kind", "Job") != "Job":
            version = arguments.manifest.get("apiVersion", JOB_VERSIONS[0])
            yield (
                f"The kind {arguments.manifest['kind']} is not of {version}: write kind: Job, or the apiVersion of the"
                " kind that is meant."
            )
        return
    group = str(arguments.manifest["apiVersion"]).partition("/")[0]
    name = f"{group}/{arguments.manifest.get('kind')}"
    if not _is_granted(name, rules.custom_resources):
        yield _sentence(f"the kind {name}", "custom_resources", rules.custom_resources)


def _of_manifest(arguments: Arguments, rules: KubernetesRules) -> Iterator[str]:
    for place, key, value in _walk(arguments.manifest, ""):
        why = _why_not(key, value, rules)
        if why is not None:
            yield f"{place}: {why}"


def _walk(value: Any, place: str) -> Iterator[Found]:
    match value:
        case dict():
            for key, inner in value.items():
                yield f"{place}{key}", str(key), inner
                yield from _walk(inner, f"{place}{key}.")
        case list():
            for number, inner in enumerate(value):
                yield from _walk(inner, f"{place}{number}.")
        case _:
            pass


def _why_not(key: str, value: Any, rules: KubernetesRules) -> str | None:
    """Return why a field may not have its value, or ``None``; the first of the checks that has something to say."""
    checks: tuple[Callable[[str, Any, KubernetesRules], str | None], ...] = (
        _field, _privileges, _account, _host_path, _propagation, _annotations, _image, _secret, _exposure,
    )  # fmt: skip
    return next((why for check in checks if (why := check(key, value, rules)) is not None), None)


def _field(key: str, value: Any, rules: KubernetesRules) -> str | None:
    is_refused = key in _REFUSED_KEYS or (key in _REFUSED_WHERE_TRUE and bool(value))
    return _sentence(f"the field {key}", "fields", rules.fields) if is_refused and key not in rules.fields else None


def _privileges(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if key != "securityContext" or PRIVILEGED in rules.fields:
        return None
    given = value if type(value) is dict else {}
    capabilities = given.get("capabilities")
    asks = (
        given.get("privileged")
        or given.get("allowPrivilegeEscalation")
        or given.get("procMount") == "Unmasked"
        or (type(capabilities) is dict and capabilities.get("add"))
    )
    return _sentence("a container with more rights than usual", "fields", rules.fields) if asks else None


def _account(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if key not in _ACCOUNT_KEYS or not value or _is_granted(str(value), rules.service_accounts):
        return None
    return _sentence(f"the service account {value}", "service_accounts", rules.service_accounts)


def _host_path(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if key != "hostPath":
        return None
    path = str(value.get("path")) if type(value) is dict else str(value)
    if ".." not in path.split("/") and any(_is_below(path, granted) for granted in rules.host_paths):
        return None
    return _sentence(f"the path {path} of the nodes", "host_paths", rules.host_paths)


def _is_below(path: str, granted: str) -> bool:
    clean, above = posixpath.normpath(path), posixpath.normpath(granted)
    return above == "/" or clean == above or clean.startswith(f"{above}/")


def _propagation(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if key != "mountPropagation" or value != "Bidirectional" or key in rules.fields:
        return None
    return _sentence("mountPropagation: Bidirectional", "fields", rules.fields)


def _annotations(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if type(value) is not str or value != _UNCONFINED or not any(word in key for word in _CONFINING):
        return None
    return None if PRIVILEGED in rules.fields else _sentence(f"the annotation {key}", "fields", rules.fields)


def _image(key: str, value: Any, rules: KubernetesRules) -> str | None:
    if key != "image":
        return None
    # A volume may be an image as well.
    name = value.get("reference") if type(value) is dict else value
    return refuse_image(name, rules) if type(name) is str else None


def _exposure(key: str, value: Any, rules: KubernetesRules) -> str | None:
    """Return why a Service may not be reached from outside of the cluster."""
    what = value if key == "type" and value in _EXPOSED else key if key == "externalIPs" and value else None
    if what is None or what in rules.fields:
        return None
    return _sentence(f"a Service with {what}", "fields", rules.fields)


def _secret(key: str, value: Any, rules: KubernetesRules) -> str | None:  # noqa: ARG001 (the checks' form)
    """Return why a Secret may not be named: those that agents make hold keys of jobs and credentials of hosts."""
    if "secret" not in key.lower():
        return None
    each = value if type(value) is list else (value,)
    names = (
        name for one in each for name in ((one.get("name"), one.get("secretName")) if type(one) is dict else (one,))
    )
    own = next((name for name in names if type(name) is str and name.startswith(OWN_SECRETS)), None)
    return None if own is None else f"The Secret {own} is an agent's, and no job may name it."


def _is_granted(name: str, patterns: Iterable[str]) -> bool:
    # Most hosts grant all or name what they grant; what a pattern is made into takes a worker a quarter of a MiB.
    return any(pattern in ("*", name) or fnmatchcase(name, pattern) for pattern in patterns)


def _sentence(what: str, key: str, granted: Iterable[str]) -> str:
    names = ", ".join(granted) or "none"
    return f"{what[:1].upper()}{what[1:]} is not granted on this host (launchd.policy.kubernetes.{key}: {names})."
