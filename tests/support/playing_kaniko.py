"""Plays kaniko in a pod of the fake cluster: takes its arguments, says some lines, and pushes an image of no layers.

``playing_kaniko.py RUNS MODE --context=... --destination=...``; each run is a line of the file RUNS. MODE is ``push``,
``fail``, ``hang``, ``hang-once`` (the first run alone), ``slow`` (a few seconds, each with a line) or ``forget`` (ends
well, and pushes nothing).
"""

import hashlib
import json
import sys
import time
import urllib.request
from pathlib import Path


def main(runs: str, mode: str, *flags: str) -> None:
    given = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    is_first = not Path(runs).exists()
    with Path(runs).open("a") as file:
        file.write(f"{given['--destination']} {given['--context']}\n")
    say("INFO unpacking the base image")
    if mode == "hang" or (mode == "hang-once" and is_first):
        time.sleep(600)
    for second in range(4 if mode == "slow" else 0):
        say(f"INFO step {second}")
        time.sleep(1)
    if mode == "fail":
        say("error building image: the step pip install failed")
        sys.exit(3)
    if mode != "forget":
        push(given["--destination"])
    say("INFO pushed")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def push(reference: str) -> None:
    """Push an image without layers."""
    repository, _, tag = reference.rpartition(":")
    registry, _, name = repository.partition("/")
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers"}}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    root = f"http://{registry}/v2/{name}"
    place = send("POST", f"{root}/blobs/uploads/", b"", "application/octet-stream")
    send("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", config, "application/octet-stream")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    described = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": []}
    send("PUT", f"{root}/manifests/{tag}", json.dumps(manifest).encode(), kind)


def send(method: str, url: str, body: bytes, kind: str) -> str:
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.headers.get("Location") or "")


if __name__ == "__main__":
    main(*sys.argv[1:])
