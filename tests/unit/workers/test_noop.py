"""What runs where no image is built: which base image, and how the code gets into it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import InvalidSpec, PolicyRefused
from ipc.messages import WarningRaised
from ipc.policy_rules import ContainerRules, PolicyRules
from ipc.work_order import JobUser
from tests.support.job_contexts import Heard
from workers.builders import Build
from workers.builders.noop import INSTALL, NoopBuilder
from workers.context import JobContext
from workers.docker.mounted_project import with_project
from workers.runners import LaunchRequest
from workers.sources import Project

Make = Callable[..., JobContext]


def a_context(make_context: Make, args: Any = None, **order: Any) -> JobContext:
    spec = {"resource": "local-container", "resource_args": {"local-container": args}, **order.pop("spec", {})}
    return make_context(spec=spec, **order)


@pytest.mark.parametrize(
    ("base_image", "args", "image"),
    [
        (None, None, "docker.io/library/python:3.12-slim"),
        (None, {"builder": {"base_image": "r.example/base:2"}}, "r.example/base:2"),
        ("r.example/own:1", {"builder": {"base_image": "r.example/base:2"}}, "r.example/own:1"),
    ],
)
def test_the_base_image_is_the_jobs_or_that_of_the_arguments_or_wandbs(
    make_context: Make, heard: Heard, base_image: str | None, args: Any, image: str
) -> None:
    context = a_context(make_context, args)

    build = NoopBuilder().build(Project(context.work, base_image=base_image), context)

    assert (build.image, build.mounts_project, build.prefix[2]) == (image, True, INSTALL)
    assert next(event.message for event in heard if isinstance(event, WarningRaised)).startswith(
        f"This agent builds no images: the job runs in {image}"
    )


@pytest.mark.parametrize("args", [{"builder": {"base_image": 3}}, {"builder": "x y"}, {"builder": {"base_image": "A"}}])
def test_what_is_no_image_is_refused(make_context: Make, args: Any) -> None:
    context = a_context(make_context, args)

    with pytest.raises(InvalidSpec):
        NoopBuilder().build(Project(context.work), context)


def test_an_image_that_the_host_does_not_grant_is_refused(make_context: Make) -> None:
    rules = PolicyRules(containers=ContainerRules(images=("r.example/*",)))
    context = a_context(make_context, policy=rules)

    with pytest.raises(PolicyRefused, match=r"docker\.io/library/python"):
        NoopBuilder().build(Project(context.work), context)


def test_other_targets_have_no_project_to_mount(make_context: Make) -> None:
    context = a_context(make_context, spec={"resource": "sagemaker", "resource_args": {}})

    with pytest.raises(InvalidSpec, match="builds no images for sagemaker"):
        NoopBuilder().build(Project(context.work), context)


def a_launch(*, mounts: bool = True) -> LaunchRequest:
    return LaunchRequest("name", ("python",), {}, Path("/jobs/1/work"), Build(image="x", mounts_project=mounts))


def test_the_project_is_mounted_where_wandb_has_it_for_the_jobs_user(make_context: Make) -> None:
    user = JobUser(64000, 64001, "/nonexistent")
    context = a_context(make_context, user=user)
    launch = msgspec.structs.replace(a_launch(), place="train")

    config = with_project({"Env": [], "HostConfig": {"Mounts": [{"Target": "/data"}]}}, launch, context.order)

    given, project = config["HostConfig"]["Mounts"]
    assert given == {"Target": "/data"}
    assert (project["Source"], project["Target"], project["ReadOnly"]) == ("/jobs/1/work", "/mnt/wandb", False)
    assert (config["WorkingDir"], config["User"]) == ("/mnt/wandb/train", "64000:64001")
    assert config["Env"] == ["HOME=/mnt/wandb"]


def test_what_was_granted_goes_before(make_context: Make) -> None:
    given = {"Env": ["HOME=/h"], "User": "7", "WorkingDir": "/w", "HostConfig": {}}

    config = with_project(given, a_launch(), a_context(make_context).order)

    assert (config["User"], config["WorkingDir"], config["Env"]) == ("7", "/w", ["HOME=/h"])


def test_an_image_with_code_has_no_mount(make_context: Make) -> None:
    given: dict[str, Any] = {"Env": [], "HostConfig": {}}

    assert with_project(given, a_launch(mounts=False), a_context(make_context).order) == given
