"""The Dockerfile for a project that has none, equal in effect to the one that W&B's agent writes. Pure.

Two stages: requirements go into a virtual environment, which the image gets without what building it took. Steps that
install have the host's settings and a cache mounted, which leave nothing in a layer.
"""

import json
import re
import shlex

import msgspec

#: Where the environment lies in the image (W&B's place).
ENVIRONMENT = "/env"
#: Where the project lies, which is the working directory.
HOME = "/home/job"
USER_NAME = "job"

#: In the build's context: the project, and files of the agent's.
PROJECT_DIRECTORY = "src"
INSTALLER_DIRECTORY = "launchd"
#: Where the stage that installs finds the latter.
INSTALLER_PLACE = "/opt/launchd"
FROZEN_INSTALLER = "install_frozen.py"

#: Ids of secrets, and where a step of the build finds them.
SETTINGS_SECRET = "launchd-settings"  # noqa: S105 (a name)
CERTIFICATES_SECRET = "launchd-certificates"  # noqa: S105 (likewise)
SECRETS_PLACE = "/run/secrets"

_MOUNTS = re.compile(r"--mount=\S+ ")
_UV = "/opt/launchd-uv"
_WITH_PIP_OF_IMAGE = "--clear --without-pip --system-site-packages"
_INSTALLERS = (
    "PIP_PROGRESS_BAR=off PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1"
    " UV_NO_PROGRESS=1 UV_LINK_MODE=copy"
)


class Dependencies(msgspec.Struct, frozen=True):
    """What is installed: the list at ``path`` in the image; ``is_frozen`` where it is whole and needs no resolving.

    With ``needs_project`` the list cannot be read without the project, and is installed in it, in its directory
    ``place``.
    """

    path: str
    is_frozen: bool = False
    needs_project: bool = False
    place: str = "."


class Recipe(msgspec.Struct, frozen=True):
    """What a Dockerfile is written from.

    ``base`` is the image that the job's is made from, ``python_base`` the one in which its environment is built.
    ``python`` is the version to install into a base that has none, such as ``3.11``; None where it has one. ``user`` is
    the number of the user that the job runs as, None for that of ``base``; ``directory`` is where the project lies,
    and ``place`` a directory within it in which the command runs. ``cache`` is the id of the cache of packages, shared
    by the builds of one project.
    """

    base: str
    python_base: str
    python: str | None = None
    dependencies: Dependencies | None = None
    user: int | None = 1000
    directory: str = HOME
    entry_point: tuple[str, ...] = ()
    place: str = ""
    cache: str = "launchd"


def dockerfile(recipe: Recipe) -> str:
    """Return the Dockerfile of ``recipe``."""
    return "\n".join([*_environment_stage(recipe), *_image_stage(recipe), ""])


def without_mounts(text: str) -> str:
    """Return a Dockerfile of :func:`dockerfile` without mounts: for engines without them, and to compare."""
    lines = text.split("\n")
    return "\n".join(_MOUNTS.sub("", line) if line.startswith("RUN --mount=") else line for line in lines)


def _environment_stage(recipe: Recipe) -> list[str]:
    wanted = recipe.dependencies
    if wanted is None:
        return []
    return [
        f"FROM {recipe.python_base} AS build",
        "USER 0",
        f"ENV {_INSTALLERS}",
        # Debian's own Python brings pip, and no copy of it for environments.
        f"RUN python -m venv {ENVIRONMENT} || python -m venv {_WITH_PIP_OF_IMAGE} {ENVIRONMENT}",
        f"ENV VIRTUAL_ENV={ENVIRONMENT} PATH={ENVIRONMENT}/bin:$PATH",
        f"WORKDIR {recipe.directory}",
        *([f"COPY {PROJECT_DIRECTORY}/ ./"] if wanted.needs_project else []),
        f"COPY {INSTALLER_DIRECTORY}/ {INSTALLER_PLACE}/",
        f"RUN {_mounts(recipe.cache)}{_with_settings(_install(wanted))}",
    ]


def _install(wanted: Dependencies) -> str:
    path, start = shlex.quote(wanted.path), ""
    if wanted.needs_project and wanted.place != ".":
        start = f"cd {shlex.quote(wanted.place)} && "
    if wanted.is_frozen:
        return f"python {INSTALLER_PLACE}/{FROZEN_INSTALLER} {path}"
    # uv is many times as quick; where an index has none, pip does the same.
    return (
        f"{start}if python -m pip install --quiet --target {_UV} uv; then"
        f" {_UV}/bin/uv pip install --python {ENVIRONMENT}/bin/python -r {path};"
        f" else python -m pip install -r {path}; fi"
    )


def _image_stage(recipe: Recipe) -> list[str]:
    return [
        f"FROM {recipe.base}",
        *_python(recipe),
        *_user(recipe),
        *_copies(recipe),
        *([f"WORKDIR {_literal(f'{recipe.directory}/{recipe.place}')}"] if recipe.place else []),
        "ENV PYTHONUNBUFFERED=1",
        *([f"ENTRYPOINT {json.dumps(recipe.entry_point)}"] if recipe.entry_point else []),
    ]


def _python(recipe: Recipe) -> list[str]:
    """Install Python where the base, that of an accelerator usually, has none; as W&B's agent does."""
    if recipe.python is None:
        return []
    name = f"python{recipe.python}"
    packages = f"{name} lib{name} python3-pip python3-setuptools"
    install = (
        f"export DEBIAN_FRONTEND=noninteractive && apt-get update -qq && apt-get install -y {packages}"
        f" && rm -rf /var/lib/apt/lists/* && ln -sf /usr/bin/{name} /usr/bin/python"
        f" && ln -sf /usr/bin/{name} /usr/local/bin/python"
    )
    return ["USER 0", f"RUN {_mounts(None)}{_with_settings(install)}"]


def _user(recipe: Recipe) -> list[str]:
    if recipe.user is None:
        return []
    # Programs that make users are not in every base.
    entry = f"{USER_NAME}:x:{recipe.user}:0:{USER_NAME}:{recipe.directory}:/bin/sh"
    home = f"mkdir -p {recipe.directory}/.cache && chown -R {recipe.user}:0 {recipe.directory}"
    return ["USER 0", f"RUN echo '{entry}' >> /etc/passwd && {home}"]


def _copies(recipe: Recipe) -> list[str]:
    owner = "" if recipe.user is None else f"--chown={recipe.user}:0 "
    lines = [f"WORKDIR {recipe.directory}"]
    if recipe.dependencies is not None:
        lines.append(f"COPY --from=build {ENVIRONMENT} {ENVIRONMENT}")
        lines.append(f"ENV VIRTUAL_ENV={ENVIRONMENT} PATH={ENVIRONMENT}/bin:$PATH")
    if recipe.dependencies is not None and recipe.dependencies.needs_project:
        # With what installing it has written into it.
        lines.append(f"COPY --from=build {owner}{recipe.directory}/ ./")
    else:
        lines.append(f"COPY {owner}{PROJECT_DIRECTORY}/ ./")
    if recipe.user is not None:
        lines += [f"USER {recipe.user}:0", f"ENV HOME={recipe.directory}"]
    return lines


def _literal(path: str) -> str:
    """Return a path as a word of a Dockerfile, in which nothing stands for something else."""
    return re.sub(r"([\\$\"'])", r"\\\1", path)


def _mounts(cache: str | None) -> str:
    secrets = "".join(
        f"--mount=type=secret,id={name},target={SECRETS_PLACE}/{name} "
        for name in (SETTINGS_SECRET, CERTIFICATES_SECRET)
    )
    return secrets if cache is None else f"--mount=type=cache,id={cache},target=/root/.cache {secrets}"


def _with_settings(command: str) -> str:
    path = f"{SECRETS_PLACE}/{SETTINGS_SECRET}"
    return f"if [ -f {path} ]; then . {path}; fi; {command}"
