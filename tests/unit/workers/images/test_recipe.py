"""The Dockerfile that is written for a project without one."""

import json

from workers.images.recipe import Dependencies, Recipe, dockerfile, without_mounts

PLAIN = Recipe(base="python:3.11-bookworm", python_base="python:3.11-bookworm")
LISTED = Recipe(
    base="python:3.11-bookworm",
    python_base="python:3.11-bookworm",
    dependencies=Dependencies("/opt/launchd/requirements.txt"),
    cache="launchd-abc",
)


def lines(recipe: Recipe) -> list[str]:
    return dockerfile(recipe).splitlines()


def test_without_requirements_there_is_one_stage() -> None:
    assert [line for line in lines(PLAIN) if line.startswith("FROM ")] == ["FROM python:3.11-bookworm"]


def test_requirements_are_installed_in_a_stage_of_their_own() -> None:
    text = lines(LISTED)

    assert [line for line in text if line.startswith("FROM ")] == [
        "FROM python:3.11-bookworm AS build",
        "FROM python:3.11-bookworm",
    ]
    assert "COPY --from=build /env /env" in text
    # A change of the code alone installs nothing again.
    assert [line for line in text if line.startswith("COPY ") and "src/" in line] == ["COPY --chown=1000:0 src/ ./"]


def test_the_project_is_there_for_requirements_that_need_it_and_stays_as_they_left_it() -> None:
    wanted = Dependencies("requirements.txt", needs_project=True)
    text = lines(Recipe("python:3.11", "python:3.11", dependencies=wanted))

    assert "COPY src/ ./" in text
    assert "COPY --from=build --chown=1000:0 /home/job/ ./" in text


def test_steps_that_install_have_caches_and_secrets_that_leave_nothing() -> None:
    (step,) = [line for line in lines(LISTED) if "pip install -r" in line]

    assert "--mount=type=cache,id=launchd-abc,target=/root/.cache" in step
    assert "--mount=type=secret,id=launchd-settings,target=/run/secrets/launchd-settings" in step
    assert "--mount=type=secret,id=launchd-certificates,target=/run/secrets/launchd-certificates" in step


def test_without_mounts_it_says_the_same() -> None:
    plain = without_mounts(dockerfile(LISTED))

    assert "--mount" not in plain
    assert "python -m pip install -r /opt/launchd/requirements.txt" in plain
    assert without_mounts(plain) == plain


def test_an_entry_point_that_looks_like_a_mount_stays() -> None:
    entry_point = ("sh", "-c", "RUN --mount=type=x y")
    text = without_mounts(dockerfile(Recipe("a", "a", entry_point=entry_point)))

    assert f"ENTRYPOINT {json.dumps(entry_point)}" in text.splitlines()


def test_python_is_installed_into_the_image_of_an_accelerator() -> None:
    text = dockerfile(Recipe("nvidia/cuda:12", "python:3.11", python="3.11"))

    assert "apt-get install -y python3.11 libpython3.11 python3-pip python3-setuptools" in text
    # The environment's interpreter is a link to this one, as in W&B's images.
    assert "ln -sf /usr/bin/python3.11 /usr/local/bin/python" in text


def test_the_job_runs_as_a_user_with_a_home_that_it_can_write_to() -> None:
    text = lines(Recipe("a", "a", user=1234))

    assert "USER 1234:0" in text
    assert "ENV HOME=/home/job" in text
    assert text.index("USER 1234:0") > text.index("COPY --chown=1234:0 src/ ./")


def test_an_image_that_is_complete_keeps_its_user() -> None:
    text = lines(Recipe("mine:1", "a", user=None, directory="/mnt/wandb"))

    assert text == ["FROM mine:1", "WORKDIR /mnt/wandb", "COPY src/ ./", "ENV PYTHONUNBUFFERED=1"]


def test_a_path_with_spaces_is_one_word() -> None:
    wanted = Dependencies("a b/requirements.txt", needs_project=True)

    assert "-r 'a b/requirements.txt'" in dockerfile(Recipe("a", "a", dependencies=wanted))
