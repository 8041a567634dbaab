"""Plans the image of a project: copies its files, chooses or writes its Dockerfile, and names it by all of that."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec, PolicyRefused
from ipc.run_spec import RunSpec
from workers.builders.reader import search_requirements
from workers.builders.requirements import FROZEN_FILE, Requirements
from workers.builders.tools import give_file
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.docker.policy import refuse_image
from workers.images import BUILT_LABEL, ImagePlan, install_frozen
from workers.images.base_images import Base, choose_base
from workers.images.build_area import images_directory
from workers.images.build_log import BUILD_LOG_FILE
from workers.images.contents import copy_project, digest_of
from workers.images.host_settings import build_secrets
from workers.images.named_images import check_dockerfile
from workers.images.own_dockerfile import OwnDockerfile, find_own, inside_tree
from workers.images.recipe import (
    FROZEN_INSTALLER,
    INSTALLER_DIRECTORY,
    INSTALLER_PLACE,
    PROJECT_DIRECTORY,
    Dependencies,
    Recipe,
    dockerfile,
    without_mounts,
)
from workers.sources import Project

DOCKERFILE = "Dockerfile.wandb"

#: Part of every name: another way to build makes other images.
_LAYOUT = 1
_TAG_CHARACTERS = 32
#: W&B's user in images that its agent builds, and the largest number of a user that engines take.
_USUAL_USER, _MAX_USER = 1000, (1 << 31) - 1
#: Where W&B's agent has the files of jobs with a base image of their own.
_BASE_IMAGE_DIRECTORY = "/mnt/wandb"
_KEY_FILE = "cache-key"
_REQUIREMENTS, _CONSTRAINTS = "requirements.txt", "constraints.txt"


class Names(Protocol):
    """Gives images their names; a registry does."""

    def repository(self, entity: str, project: str) -> str:
        """Return the name, without a tag, of the images of a project."""
        ...


def plan_image(project: Project, context: JobContext, registry: Names, area: Path) -> ImagePlan:
    """Return how the image of ``project`` is built, with its files in the empty directory ``area``.

    Its tag is a hash of the files, the Dockerfile (and with it the base image and the requirements), the build's
    arguments, the entity and the project. Base images count by their names.

    Raises:
        InvalidSpec: the run spec asks for something that there is not.
        PolicyRefused: this host does not grant the image it is made from.
        SourceError: the project's files cannot be copied, or a Dockerfile that is named is not there.
        BuildError: the project's requirements cannot be read.
        HostError: this host cannot do its part.
        JobCancelled: the job was stopped meanwhile.
    """
    context.progress("gathering the files of the image")
    tree = area / PROJECT_DIRECTORY
    copy_project(project, context, tree)
    spec = context.order.spec
    command = _command(project, spec)
    own = find_own(tree, project, spec.overrides.dockerfile, command)
    if own is None:
        inside_tree(tree, Path(project.place))
        return _generated(project, context, registry, area)
    if command != (spec.overrides.entry_point or project.entry_point):
        own = msgspec.structs.replace(own, entry_point=())
    if project.working_dir:
        context.warn(
            "The job runs in the working directory of its own Dockerfile, and not in overrides.working_dir"
            f" ({project.working_dir!r}).",
            "build",
        )
    return _own(own, context, registry)


def _command(project: Project, spec: RunSpec) -> tuple[str, ...]:
    """Return the command by which the project's Dockerfile is found: a job's own, else the submitter's (W&B's rule)."""
    own, asked = project.entry_point, spec.overrides.entry_point
    return (own or asked) if spec.job is not None else (asked or own)


def _own(own: OwnDockerfile, context: JobContext, registry: Names) -> ImagePlan:
    check_dockerfile(own.text, context.order.policy.containers)
    digest = digest_of(own.context, context.raise_if_interrupted)
    path = own.context / DOCKERFILE
    path.unlink(missing_ok=True)
    give_file(path, own.text, None)
    return _plan(context, registry, own.context, own.text, digest, own.entry_point)


def _generated(project: Project, context: JobContext, registry: Names, area: Path) -> ImagePlan:
    base = _granted(choose_base(project, context), context)
    installer_files = area / INSTALLER_DIRECTORY
    installer_files.mkdir(mode=0o755)
    recipe = Recipe(
        base=base.image,
        python_base=base.python_image,
        python=base.python,
        dependencies=None if base.is_complete else _dependencies(project, context, area),
        user=None if base.is_complete else _user(context.order.spec),
        entry_point=project.entry_point,
        place=project.place,
        cache=_cache_id(context),
    )
    if base.is_complete:
        recipe = msgspec.structs.replace(recipe, directory=_BASE_IMAGE_DIRECTORY)
    text = dockerfile(recipe)
    digests = [digest_of(path, context.raise_if_interrupted) for path in (area / PROJECT_DIRECTORY, installer_files)]
    give_file(area / DOCKERFILE, text, None)
    # Where an engine has no mounts, it says the same without them.
    plan = _plan(context, registry, area, without_mounts(text), "".join(digests))
    named = () if base.named_by is None else (base.image,)
    return msgspec.structs.replace(plan, is_generated=True, named_bases=named)


def _plan(
    context: JobContext,
    registry: Names,
    directory: Path,
    text: str,
    digest: str,
    entry_point: tuple[str, ...] = (),
) -> ImagePlan:
    """Return the plan of an image whose name is a hash of ``text``, what its Dockerfile does, and of ``digest``."""
    spec = context.order.spec
    parts = (_LAYOUT, spec.entity, spec.project, text, digest, context.order.builder_config.platform)
    tag = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:_TAG_CHARACTERS]
    return ImagePlan(
        reference=f"{registry.repository(spec.entity, spec.project)}:{tag}",
        context=directory,
        dockerfile=directory / DOCKERFILE,
        log=context.directory / BUILD_LOG_FILE,
        secrets=build_secrets(os.environ, with_passwords=context.order.venv.pass_index_settings),
        labels={BUILT_LABEL: f"{spec.entity}/{spec.project}"},
        entry_point=entry_point,
    )


def _granted(base: Base, context: JobContext) -> Base:
    """Return ``base``; what a submitter named is judged by the policy, what the administrator chose is granted."""
    if base.named_by is not None:
        refusal = refuse_image(parse_image(base.image), context.order.policy.containers)
        if refusal is not None:
            raise PolicyRefused(f"As {base.named_by}: {refusal}")
    return base


def _user(spec: RunSpec) -> int:
    user = _USUAL_USER if spec.user_id is None else spec.user_id
    if not 0 <= user <= _MAX_USER:
        raise InvalidSpec(f"docker.user_id in the run spec is {user}, which is no user's number.")
    return user


# -- requirements


def _dependencies(project: Project, context: JobContext, area: Path) -> Dependencies | None:
    """Return what is to be installed, W&B's order: the first file that has any; its list is among the agent's files."""
    searched = search_requirements(project, context)
    if searched is None:
        return None
    directory, found = searched
    inside = directory.relative_to(project.directory)
    root = inside_tree(area / PROJECT_DIRECTORY, inside)
    installer_files = area / INSTALLER_DIRECTORY
    if found.origin == FROZEN_FILE:
        _copy(root / FROZEN_FILE, installer_files / FROZEN_FILE)
        _copy(Path(install_frozen.__file__), installer_files / FROZEN_INSTALLER)
        return Dependencies(f"{INSTALLER_PLACE}/{FROZEN_FILE}", is_frozen=True)
    written = _write_list(found, installer_files)
    path = f"{INSTALLER_PLACE}/{_REQUIREMENTS}" if written else found.origin
    return Dependencies(path, needs_project=found.listing is None, place=str(inside))


def _write_list(found: Requirements, installer_files: Path) -> bool:
    """Write a list of requirements that stands without the project; return whether there is one."""
    listing = found.listing
    if listing is None:
        if found.text is not None:
            give_file(installer_files / _REQUIREMENTS, found.text, None)
        return found.text is not None
    limits = (f"-c {_CONSTRAINTS}",) if listing.constraints else ()
    if limits:
        give_file(installer_files / _CONSTRAINTS, "".join(f"{line}\n" for line in listing.constraints), None)
    lines = (*listing.options, *limits, *listing.requirements)
    give_file(installer_files / _REQUIREMENTS, "".join(f"{line}\n" for line in lines), None)
    return True


def _copy(source: Path, into: Path) -> None:
    into.write_bytes(source.read_bytes())


# -- the cache of packages


def _cache_id(context: JobContext) -> str:
    """Return the id of the project's own cache, which the Dockerfile of another project cannot name.

    Code of submitters runs in a build and writes there; what it leaves must not be installed for others.
    """
    spec = context.order.spec
    name = f"{spec.entity}/{spec.project}".encode()
    return f"launchd-{hmac.digest(_cache_key(images_directory(context)), name, 'sha256').hex()[:_TAG_CHARACTERS]}"


def _cache_key(images: Path) -> bytes:
    path = images / _KEY_FILE
    if not path.exists():
        new = path.with_name(f"{_KEY_FILE}.{secrets.token_hex(8)}")
        give_file(new, secrets.token_hex(32), None)
        _keep_first(new, path)
    return path.read_bytes()


def _keep_first(new: Path, path: Path, rename: Callable[[Path, Path], None] = os.link) -> None:
    try:
        rename(new, path)
    except FileExistsError:
        # Another worker was quicker.
        pass
    finally:
        new.unlink()
