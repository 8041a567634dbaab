"""A container image with kaniko, laid out as its project's own: for builds in pods."""

import os
import shutil
from pathlib import Path

from tests.support.registries import Buildah, require

#: Read at import: what a person has set is taken out of the environment of tests.
EXECUTOR = os.environ.get("LAUNCHD_TEST_KANIKO")


def push_kaniko_image(by_hand: Buildah, directory: Path, reference: str) -> None:
    """Push the image as ``reference``; it is put together in the empty directory ``directory``."""
    require("buildah")
    files = directory / "kaniko-image"
    for name in ("kaniko/.docker", "kaniko/ssl/certs", "etc", "workspace"):
        (files / name).mkdir(parents=True)
    shutil.copy(str(EXECUTOR), files / "kaniko/executor")
    (files / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    variables = {
        "HOME": "/root",
        "USER": "root",
        "PATH": "/usr/local/bin:/kaniko",
        "SSL_CERT_DIR": "/kaniko/ssl/certs",
        "DOCKER_CONFIG": "/kaniko/.docker/",
    }
    container = by_hand("from", "scratch")
    by_hand("add", container, str(files), "/")
    settings = [f"--env={name}={value}" for name, value in variables.items()]
    by_hand("config", *settings, "--workingdir=/workspace", '--entrypoint=["/kaniko/executor"]', container)
    by_hand("commit", "--quiet", "--rm", container, reference)
    by_hand("push", "--quiet", "--tls-verify=false", reference, f"docker://{reference}")
