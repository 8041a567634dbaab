"""The pods of the tests' own cluster: processes of this machine, with their logs, and the Jobs that they are of."""

import base64
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from tests.support.cluster.objects import Key, Object, Objects, now


class Pods:
    """Runs the command of the first container of each Job's pod, and does as a Job's controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = objects.changed
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, list[bytes]] = {}
        #: Pods that are no process: they run and say nothing, until they are taken from here.
        self.silent: set[str] = set()

    def close(self) -> None:
        """End all pods."""
        for process in list(self._processes.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def has_log(self, name: str) -> bool:
        """Return whether there is a log of a pod."""
        return name in self._logs or name in self.silent

    def run_job(self, job: Object) -> None:
        """Make the pod of a Job and run it."""
        metadata = job["metadata"]
        key, name = (metadata["namespace"], "pods"), f"{metadata['name']}-{uuid.uuid4().hex[:5]}"
        template = json.loads(json.dumps(job["spec"]["template"]))
        labels = {**(template.get("metadata") or {}).get("labels", {}), "job-name": metadata["name"]}
        owner = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        pod = {"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "spec": template["spec"]}
        pod["status"] = {"phase": "Pending"}
        self._objects.create(key, pod)
        threading.Thread(target=self._run_pod, args=(key, name, pod, metadata["name"]), daemon=True).start()

    def _run_pod(self, key: Key, name: str, pod: Object, job: str) -> None:
        container = pod["spec"]["containers"][0]
        environment = {one["name"]: self._value(key[0], one) for one in container.get("env") or ()}
        process = subprocess.Popen(
            [*container.get("command", ["true"]), *container.get("args", ())],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log = self._logs.setdefault(name, [])
        with self._lock:
            self._processes[name] = process
        self._set_pod(key, name, "Running", {"running": {"startedAt": now()}}, container)
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._lock:
                    log.append(_stamp().encode() + b" " + line)
                    self._lock.notify_all()
        code = process.wait()
        with self._lock:
            self._processes.pop(name, None)
        phase = "Succeeded" if code == 0 else "Failed"
        exit_code = code if code >= 0 else 128 - code
        ended = {"terminated": {"exitCode": exit_code, "reason": "Completed" if code == 0 else "Error"}}
        self._set_pod(key, name, phase, ended, container)
        self._end_job(key[0], job, is_complete=code == 0)
        with self._lock:
            one = self._objects.find(key, name)
            if one is not None and "deletionTimestamp" in one["metadata"]:
                self._objects.remove_one(key, name)

    def _value(self, namespace: str, variable: Object) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return str(variable.get("value", ""))
        reference = source["secretKeyRef"]
        secret = self._objects.find((namespace, "secrets"), reference["name"])
        assert secret is not None
        return base64.b64decode(secret["data"][reference["key"]]).decode()

    def _set_pod(self, key: Key, name: str, phase: str, state: Object, container: Object) -> None:
        with self._lock:
            one = self._objects.find(key, name)
            if one is None:
                return
            containers = [{"name": container["name"], "state": state, "restartCount": 0}]
            one["status"] = {**one["status"], "phase": phase, "containerStatuses": containers}
            self._objects.touch(key, one, "MODIFIED")

    def _end_job(self, namespace: str, name: str, *, is_complete: bool) -> None:
        with self._lock:
            job = self._objects.find((namespace, "jobs"), name)
            if job is None:
                return
            kind = "Complete" if is_complete else "Failed"
            reason = {} if is_complete else {"reason": "BackoffLimitExceeded"}
            job["status"] = {"conditions": [{"type": kind, "status": "True", **reason}]}
            self._objects.touch((namespace, "jobs"), job, "MODIFIED")

    def end(self, key: Key, pod: Object, grace: float | None) -> None:
        """End a pod, by force after ``grace`` seconds; it is removed then."""
        name = pod["metadata"]["name"]
        process = self._processes.get(name)
        if process is None:
            self._objects.remove_one(key, name)
            return
        pod["metadata"]["deletionTimestamp"] = now()
        self._objects.touch(key, pod, "MODIFIED")
        seconds = 30.0 if grace is None else float(grace)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM if seconds else signal.SIGKILL)
        timer = threading.Timer(seconds, lambda: _kill(process))
        timer.daemon = True
        timer.start()

    def log(self, name: str, follow: bool) -> Iterator[bytes]:
        """Yield the entries of a pod's log."""
        position = 0
        while True:
            with self._lock:
                entries = self._logs.get(name, [])[position:]
                is_over = name not in self._processes and name not in self.silent
                if not entries and follow and not is_over:
                    self._lock.wait(5.0 if name in self.silent else 0.2)
                    continue
            yield from entries
            position += len(entries)
            if is_over or not follow:
                return


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _stamp() -> str:
    now = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
