"""Whether this host may run jobs in a cluster: whether it answers, and whether each right is granted in the namespace.

Asks, and changes nothing.
"""

from contextlib import closing

from ipc.errors import HostError
from ipc.settings import KubernetesConfig
from workers.kubernetes.access import Access
from workers.kubernetes.api import FORBIDDEN, UNAUTHORIZED, ApiRefusal, KubernetesApi
from workers.kubernetes.rights import RIGHTS, Right

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_HINT = "packaging/kubernetes has a Role with what the agent needs; docs/kubernetes.md names it."


def verify(settings: KubernetesConfig) -> str:
    """Return as a sentence which cluster answers, and that the agent has its rights there.

    Raises:
        HostError: the cluster refuses this host, or a right that jobs need.
        RunnerUnavailable: it does not answer.
    """
    with closing(KubernetesApi(Access(settings.config_file, settings.context), settings.timeout_seconds)) as api:
        namespace = settings.namespace or api.usual_namespace()
        try:
            version = str(api.get("/version").get("gitVersion", "of an unknown version"))
            missing = [name for right in RIGHTS for name in _missing(api, namespace, right)]
        except ApiRefusal as refusal:
            raise _refused(refusal) from refusal
    if missing:
        raise HostError(
            f"The cluster does not grant the agent in the namespace {namespace}: {', '.join(missing)}.", hint=_HINT
        )
    return f"The Kubernetes cluster ({version}) answers, and grants what jobs need in the namespace {namespace}."


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
