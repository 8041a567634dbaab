"""The Job of a build by buildah, in three containers one after the other. Pure.

The first unpacks the files and pulls the base images, the second builds, the third pushes. Credentials for registries
are in the first and the third alone: no step of a Dockerfile is ever beside them. No container has more rights than
usual ones: steps run with `--isolation=chroot`, and layers lie in a volume of the pod as plain files.
"""

from collections.abc import Iterator

from workers.buildah.registries_conf import registries_conf_of
from workers.kubernetes.archives import MOST_PARTS
from workers.kubernetes.secret_objects import DOCKER_CONFIG_KEY
from workers.pod_builds.content import (
    CONTEXT_PLACE,
    SECRETS_PLACE,
    Content,
    Draft,
    Object,
    items_of,
    mount,
    secret_volume,
)

DEFAULT_IMAGE = "quay.io/buildah/stable:v1.43.0"

_WORK = "/work"
_SCRATCH = f"{_WORK}/scratch"
_AUTH_PLACE = "/launchd/auth"
_TRUST_PLACE = "/launchd/trust"
_AUTH_FILE = f"{_AUTH_PLACE}/{DOCKER_CONFIG_KEY}"
_STORAGE = f"buildah --root {_WORK}/storage --runroot {_WORK}/run --storage-driver vfs"

#: Everything that differs from build to build comes as an argument, and is no text of a script.
_PREPARE = f"""
name=$1; shift
mkdir -p {_SCRATCH} {_WORK}/files
cat {CONTEXT_PLACE}/"$name"* | tar -xz -C {_WORK}/files -f -
printf '%s' "$LAUNCHD_REGISTRIES" >{_WORK}/registries.conf
for image in "$@"; do {_STORAGE} pull --quiet --policy=always $LAUNCHD_OPTIONS "$image"; done
"""
_BUILD = f'exec {_STORAGE} build --isolation=chroot --format=docker --pull=false --layers=false "$@"'
_PUSH = f'exec {_STORAGE} push --quiet $LAUNCHD_OPTIONS "$1" "docker://$1"'

#: Given a container, nothing of it but these.
_OWN_FIELDS = ("resources", "securityContext", "imagePullPolicy", "envFrom")


class BuildahKit:
    """buildah, in the image of its project or another one that has it beside a shell and tar."""

    tool = "buildah"
    most_parts = MOST_PARTS
    takes_stores = False
    pulls_apart = True

    def job(self, content: Content) -> Object:
        """Return the Job; see :class:`~workers.pod_builds.content.Kit`."""
        draft = Draft(content)
        draft.volumes += list(_volumes(content))
        prepare = _container(draft, content, "prepare", _PREPARE, content.files.name, *content.bases)
        build = _container(draft, content, "build", _BUILD, *_options(content))
        push = _container(draft, content, "push", _PUSH, content.reference)
        prepare["volumeMounts"] += [mount("context", CONTEXT_PLACE), *_trust(content)]
        build["volumeMounts"] += [mount("settings", f"{SECRETS_PLACE}/{name}", part=name) for name in content.settings]
        push["volumeMounts"] += list(_trust(content))
        _show(prepare, "pull", content.auth_secret or content.pull_secret, content)
        _show(push, "push", content.auth_secret or content.push_secret, content)
        return draft.finish(push, before=(prepare, build))


def _volumes(content: Content) -> Iterator[Object]:
    yield {"name": "work", "emptyDir": {}}
    yield {"name": "context", **(content.files.volume or {})}
    secrets = {
        "pull": content.auth_secret or content.pull_secret,
        "push": content.auth_secret or content.push_secret,
        "settings": content.settings_secret,
        "trust": content.trust_secret,
    }
    yield from (secret_volume(name, secret) for name, secret in secrets.items() if secret)


def _container(draft: Draft, content: Content, name: str, script: str, *words: str) -> Object:
    own = draft.container
    variables = {
        "TMPDIR": _SCRATCH,
        "CONTAINERS_REGISTRIES_CONF": f"{_WORK}/registries.conf",
        "LAUNCHD_REGISTRIES": registries_conf_of("", content.insecure),
    }
    return {
        "name": name,
        "image": own.get("image") or content.image or DEFAULT_IMAGE,
        "command": ["/bin/sh", "-ec", script.strip(), "sh"],
        "args": list(words),
        "env": [*items_of(own, "env"), *({"name": key, "value": value} for key, value in variables.items())],
        "volumeMounts": [*items_of(own, "volumeMounts"), {"name": "work", "mountPath": _WORK}],
        **{key: own[key] for key in _OWN_FIELDS if key in own},
    }


def _show(container: Object, volume: str, secret: str | None, content: Content) -> None:
    """Have a container speak to registries with the credentials of a Secret."""
    options = []
    if secret is not None:
        container["volumeMounts"].append(mount(volume, _AUTH_PLACE))
        options += [f"--authfile={_AUTH_FILE}"]
    if content.trust_secret is not None:
        options += [f"--cert-dir={_TRUST_PLACE}"]
    container["env"].append({"name": "LAUNCHD_OPTIONS", "value": " ".join(options)})


def _trust(content: Content) -> Iterator[Object]:
    if content.trust_secret is not None:
        yield mount("trust", _TRUST_PLACE)


def _options(content: Content) -> Iterator[str]:
    if content.config.platform is not None:
        yield f"--platform={content.config.platform}"
    yield from (f"--build-arg={name}={value}" for name, value in content.build_args.items())
    yield from (f"--label={name}={value}" for name, value in content.image_labels.items())
    yield from (f"--secret=id={name},src={SECRETS_PLACE}/{name}" for name in content.settings)
    yield from (f"--tag={content.reference}", f"--file={_WORK}/files/{content.dockerfile}", f"{_WORK}/files")
