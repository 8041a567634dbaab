"""Whether this host may run jobs in a cluster: whether it answers, and whether each right is granted in the namespace.

Asks, and changes nothing.
"""

from contextlib import closing

from ipc.errors import HostError
from ipc.settings import KubernetesConfig
from workers.kubernetes.access import Access
from workers.kubernetes.api import FORBIDDEN, UNAUTHORIZED, ApiRefusal, KubernetesApi
from workers.kubernetes.rights import BUILD_RIGHTS, EVENT_RIGHTS, RIGHTS, Right

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_HINT = "packaging/kubernetes has a Role with what the agent needs; docs/kubernetes.md names it."


def verify(settings: KubernetesConfig) -> str:
    """Return as a sentence which cluster answers, and that the agent has its rights there.

    Raises:
        HostError: the cluster refuses this host, or a right that jobs need.
        RunnerUnavailable: it does not answer.
    """
    with closing(KubernetesApi(Access(settings.config_file, settings.context), settings.timeout_seconds)) as api:
        namespace, of_builds = settings.namespace or api.usual_namespace(), settings.builds.namespace
        try:
            version = str(api.get("/version").get("gitVersion", "of an unknown version"))
            _require(api, namespace, RIGHTS)
            shows_events = not any(_missing(api, namespace, right) for right in EVENT_RIGHTS)
            if of_builds is not None and of_builds != namespace:
                _require(api, of_builds, BUILD_RIGHTS)
        except ApiRefusal as refusal:
            raise _refused(refusal) from refusal
    places = namespace if of_builds in (None, namespace) else f"{namespace}, and what builds need in {of_builds}"
    lacking = "" if shows_events else " Without the right to list events there, it is not always told why a job waits."
    return f"The Kubernetes cluster ({version}) answers, and grants what jobs need in the namespace {places}.{lacking}"


def _require(api: KubernetesApi, namespace: str, rights: tuple[Right, ...]) -> None:
    """Raise :class:`HostError` where there is no such namespace, or not all ``rights`` are granted there."""
    _require_namespace(api, namespace)
    missing = [name for right in rights for name in _missing(api, namespace, right)]
    if missing:
        raise HostError(
            f"The cluster does not grant the agent in the namespace {namespace}: {', '.join(missing)}.", hint=_HINT
        )


def _require_namespace(api: KubernetesApi, namespace: str) -> None:
    """Raise :class:`HostError` where there is no such namespace: a cluster grants its owner all rights in that, too."""
    try:
        found = api.find(f"/api/v1/namespaces/{namespace}")
    except ApiRefusal as refusal:
        if refusal.status != FORBIDDEN:
            raise
        # Whom the cluster does not tell has no rights there either, unless there is one.
        return
    if found is None:
        raise HostError(
            f"The cluster has no namespace {namespace}.",
            hint="Create it, or name another one in launchd.kubernetes.namespace, or builds.namespace there.",
        )


def _missing(api: KubernetesApi, namespace: str, right: Right) -> list[str]:
    resource, _, part = right.resource.partition("/")
    asked = {"namespace": namespace, "group": right.group, "resource": resource, "subresource": part}
    return [f"{verb} {right.resource}" for verb in right.verbs if not _is_granted(api, {**asked, "verb": verb})]


def _is_granted(api: KubernetesApi, attributes: dict[str, str]) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
    }
    return bool(api.create(_REVIEWS, review)["status"]["allowed"])


def _refused(refusal: ApiRefusal) -> HostError:
    if refusal.status in (UNAUTHORIZED, FORBIDDEN):
        return HostError(f"The Kubernetes cluster refuses this host: {refusal.message}.", hint=_HINT)
    return HostError(f"The Kubernetes cluster does not say what it grants ({refusal.status}): {refusal.message}.")
