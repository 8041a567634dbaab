"""Which right a request to the Kubernetes API needs, by its method and path, and which the agent asks for."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from workers.kubernetes.rights import EVENT_RIGHTS, RIGHTS, Right

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)/namespaces/[^/]+/(?P<kind>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[^/]+))?"
)

Needed = tuple[str, str, str]

#: Groups of the API that are there in every cluster; others have custom resources.
_USUAL_GROUPS = ("", "batch", "apps")


@contextmanager
def granted_kubernetes(*also: Right) -> Iterator[FakeKubernetes]:
    """A cluster that the agent asks for nothing but what its Role and ``also`` grant, and for custom resources."""
    with fake_kubernetes() as running:
        yield running
    assert {right for right in needed(running.asked) if right[0] in _USUAL_GROUPS} <= GRANTED | granted(also)


def granted(rights: Iterable[Right]) -> frozenset[Needed]:
    """Return group, kind and verb of all that ``rights`` grant."""
    return frozenset((right.group, right.resource, verb) for right in rights for verb in right.verbs)


def needed(requests: Iterable[tuple[str, str, bool]]) -> set[Needed]:
    """Return group, kind and verb of each request; what is in no namespace needs no grant."""
    found = ((method, _PATH.fullmatch(path), watches) for method, path, watches in requests)
    return {_right(method, match, watches) for method, match, watches in found if match is not None}


def _right(method: str, match: "re.Match[str]", watches: bool) -> Needed:
    kind = "/".join(filter(None, (match["kind"], match["part"])))
    of_one = match["name"] is not None
    verbs = {
        "GET": "watch" if watches else "get" if of_one else "list",
        "POST": "create",
        "PATCH": "patch",
        "DELETE": "delete" if of_one else "deletecollection",
    }
    return match["group"] or "", kind, verbs[method]


GRANTED = granted((*RIGHTS, *EVENT_RIGHTS))
