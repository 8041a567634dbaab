"""Builds nothing: code runs in a base image, with the project mounted, as with newer agents of W&B's (0.26.0)."""

from typing import Any

from ipc.errors import InvalidSpec
from workers.builders import Build
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.docker.policy import refuse_image
from ipc.errors import PolicyRefused
from workers.sources import Project

#: W&B's.
DEFAULT_BASE_IMAGE = "python:3.12-slim"
