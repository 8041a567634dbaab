"""The objects of the tests' own cluster: kept in memory, changed as the API does it, and watched.

What belongs to an object goes with it, as the garbage collector of a cluster has it. How a pod ends is not known here.
"""

import base64
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

Object = dict[str, Any]
#: A namespace, and the plural of a kind.
Key = tuple[str, str]


class Objects:
    """All objects, by namespace and kind. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.created: Counter[str] = Counter()
        self._version = 100
        self._objects: dict[Key, dict[str, Object]] = {}
        self._events: list[tuple[int, Key, str, Object]] = []
        self._oldest = 0
        self._is_closed = False
        self._breaks = 0

    def close(self) -> None:
        """End all watches."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()

    # -- what tests ask and do

    def objects(self, plural: str, namespace: str = "default") -> list[Object]:
        """Return all objects of a kind."""
        with self.changed:
            return [json.loads(json.dumps(one)) for one in self._objects.get((namespace, plural), {}).values()]

    def change(self, plural: str, name: str, change: Callable[[Object], None], namespace: str = "default") -> None:
        """Change an object, as a controller does."""
        with self.changed:
            one = self._objects[(namespace, plural)][name]
            change(one)
            self.touch((namespace, plural), one, "MODIFIED")

    def remove(self, plural: str, name: str, namespace: str = "default") -> None:
        """Remove an object at once."""
        with self.changed:
            self.remove_one((namespace, plural), name)

    def forget_events(self) -> None:
        """Forget all events, so that a watch cannot go on where it was."""
        with self.changed:
            self._oldest = self._version
            self._events.clear()
            self.changed.notify_all()

    def break_watches(self) -> None:
        """Break off all watches, as a proxy that is restarted does."""
        with self.changed:
            self._breaks += 1
            self.changed.notify_all()

    # -- what the API does

    def create(self, key: Key, body: Object) -> tuple[int, Object]:
        with self.changed:
            name = body["metadata"]["name"]
            if name in self._objects.setdefault(key, {}):
                return refusal(409, "AlreadyExists", f'{key[1]} "{name}" already exists')
            metadata = body["metadata"]
            metadata |= {"namespace": key[0], "uid": str(uuid.uuid4()), "creationTimestamp": now()}
            _encode_secret(body)
            self._objects[key][name] = body
            self.touch(key, body, "ADDED")
            self.created[f"{key[1]}/{name}"] += 1
        return 201, body

    def patch(self, key: Key, name: str, body: Object) -> tuple[int, Object]:
        with self.changed:
            one = self._objects.get(key, {}).get(name)
            if one is None:
                return refusal(404, "NotFound", f'{key[1]} "{name}" not found')
            _merge(one, body)
            _encode_secret(one)
            self.touch(key, one, "MODIFIED")
            return 200, one

    def get(self, key: Key, name: str) -> tuple[int, Object]:
        with self.changed:
            one = self._objects.get(key, {}).get(name)
            return (200, one) if one is not None else refusal(404, "NotFound", f'{key[1]} "{name}" not found')

    def list(self, key: Key, selector: str, limit: int = 0, fields: str = "") -> tuple[int, Object]:
        with self.changed:
            items = [one for one in self._objects.get(key, {}).values() if _is_selected(one, selector)]
            items = [one for one in items if not fields or _is_about(one, fields)]
            items = items[: limit or None]
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    def delete(self, key: Key, name: str, options: Object) -> tuple[int, Object]:
        with self.changed:
            one = self._objects.get(key, {}).get(name)
            if one is None:
                return refusal(404, "NotFound", f'{key[1]} "{name}" not found')
            wanted = (options.get("preconditions") or {}).get("uid")
            if wanted not in (None, one["metadata"]["uid"]):
                return refusal(409, "Conflict", "the UID in the precondition is another one")
            if key[1] == "pods":
                self._end_pod(key, one, options.get("gracePeriodSeconds"))
            elif options.get("propagationPolicy") == "Foreground" and self._dependents(one):
                one["metadata"]["deletionTimestamp"] = now()
                self.touch(key, one, "MODIFIED")
                for pod in self._dependents(one):
                    self._end_pod((key[0], "pods"), pod, None)
            else:
                self.remove_one(key, name)
        return 200, {"kind": "Status", "status": "Success"}

    def delete_all(self, key: Key, selector: str, options: Object) -> tuple[int, Object]:
        for one in self.list(key, selector)[1]["items"]:
            self.delete(key, one["metadata"]["name"], options)
        return 200, {"kind": "Status", "status": "Success"}

    def _dependents(self, owner: Object) -> "list[Object]":
        pods = self._objects.get((owner["metadata"]["namespace"], "pods"), {})
        return [pod for pod in pods.values() if _is_owned(pod, owner)]

    def remove_one(self, key: Key, name: str) -> None:
        """Remove an object and what belongs to it."""
        one = self._objects.get(key, {}).pop(name, None)
        if one is None:
            return
        self.touch(key, one, "DELETED")
        for plural in ("pods", "secrets"):
            place = (key[0], plural)
            for other in [other for other in self._objects.get(place, {}).values() if _is_owned(other, one)]:
                if plural == "pods":
                    self._end_pod(place, other, None)
                else:
                    self.remove_one(place, other["metadata"]["name"])
        self._finish_deletion(key[0], one)

    def _finish_deletion(self, namespace: str, gone: Object) -> None:
        """Remove what waited in the foreground for its last dependent."""
        for (place, plural), objects in list(self._objects.items()):
            if place != namespace:
                continue
            for one in list(objects.values()):
                is_waiting = "deletionTimestamp" in one["metadata"] and plural != "pods" and _is_owned(gone, one)
                if is_waiting and not self._dependents(one):
                    self.remove_one((place, plural), one["metadata"]["name"])

    def touch(self, key: Key, one: Object, kind: str) -> None:
        """Note a change, for who watches."""
        self._version += 1
        one["metadata"]["resourceVersion"] = str(self._version)
        self._events.append((self._version, key, kind, json.loads(json.dumps(one))))
        self.changed.notify_all()

    def watch(self, key: Key, selector: str, version: int, seconds: float) -> Iterator[Object]:
        """Yield events since ``version``."""
        deadline = time.monotonic() + seconds
        if not version:
            with self.changed:
                version = self._version
                existing = self.list(key, selector)[1]["items"]
            yield from ({"type": "ADDED", "object": one} for one in existing)
        breaks = self._breaks
        while time.monotonic() < deadline and not self._is_closed:
            with self.changed:
                if breaks != self._breaks:
                    raise BrokenPipeError
                if version < self._oldest:
                    yield {"type": "ERROR", "object": refusal(410, "Expired", "too old resource version")[1]}
                    return
                fresh = [event for event in self._events if event[0] > version]
                if not fresh:
                    self.changed.wait(min(0.5, max(0.0, deadline - time.monotonic())))
                    continue
            for number, place, kind, one in fresh:
                version = number
                if place == key and _is_selected(one, selector):
                    yield {"type": kind, "object": one}
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}

    def _end_pod(self, key: Key, pod: Object, grace: float | None) -> None:  # noqa: ARG002 (for pods that run)
        """End a pod, which has ``grace`` seconds for it, and remove it."""
        self.remove_one(key, pod["metadata"]["name"])

    def find(self, key: Key, name: str) -> Object | None:
        """Return the object itself, for who changes it."""
        return self._objects.get(key, {}).get(name)


def refusal(code: int, reason: str, message: str) -> tuple[int, Object]:
    """Return the answer to a request that is refused."""
    return code, {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}


def _is_selected(one: Object, selector: str) -> bool:
    labels = one["metadata"].get("labels") or {}
    return all(labels.get(part.split("=")[0]) == part.split("=")[-1] for part in selector.split(",") if part)


def _is_about(event: Object, fields: str) -> bool:
    """Return whether an event is about the object that a field selector names; it knows of no other."""
    return fields == f"involvedObject.uid={event['involvedObject']['uid']}"


def _is_owned(one: Object, owner: Object) -> bool:
    uid = owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in one["metadata"].get("ownerReferences") or ())


def _encode_secret(body: Object) -> None:
    for name, text in body.pop("stringData", {}).items():
        body.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _merge(one: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(one.setdefault(key, {}), value)
        else:
            one[key] = value


def now() -> str:
    """Return the time as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
