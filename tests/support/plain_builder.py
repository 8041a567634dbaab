"""A builder of images for tests that are about something else: the project over the tests' base image, nothing more.

Agents of tests know it by ``LAUNCHD_TEST_BUILDERS``. It keeps a note of each build in the image itself.
"""

import hashlib
import io
import tarfile
from contextlib import closing

import docker

from ipc.engine_address import engine_address
from tests.support.engine import BASE_IMAGE
from workers.builders import Build
from workers.context import JobContext
from workers.sources import Project

#: For the variable: it takes the place of Docker's.
DECLARED = "docker=tests.support.plain_builder:PlainBuilder"

REPOSITORY = "localhost/launchd-test-built"

_DOCKERFILE = f"FROM {BASE_IMAGE}\nCOPY project /project\nWORKDIR /project\n"


class PlainBuilder:
    """Copies the project into an image, tagged by the project's content."""

    def needed(self, project: Project, context: JobContext) -> bool:  # noqa: ARG002 (the interface's)
        return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Build it with the engine of the job."""
        archive = _archive(project)
        image = f"{REPOSITORY}:{hashlib.sha256(archive).hexdigest()[:12]}"
        address = engine_address(context.order.docker.host, {})
        with closing(docker.APIClient(base_url=address, version="auto", timeout=60)) as client:
            # Read to its end, which is that of the build.
            answers = list(client.build(fileobj=io.BytesIO(archive), custom_context=True, tag=image, decode=True))
        assert not any("error" in answer for answer in answers), answers
        return Build(image=image)


def _archive(project: Project) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(_DOCKERFILE)
        archive.addfile(entry, io.BytesIO(_DOCKERFILE.encode()))
        archive.add(project.directory, "project", filter=_without_times)
    return made.getvalue()


def _without_times(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    return entry
