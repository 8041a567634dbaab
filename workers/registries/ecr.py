"""Amazon's Elastic Container Registry: tokens of its own, which AWS's credentials get, and its own question for images.

A token goes where a password goes, and is never in a command line or a file that outlives its use. It is good for
twelve hours, and is asked for again before it ends.
"""

import base64
import re
import time
from typing import Any

import msgspec

from ipc.errors import HostError
from ipc.settings import AwsConfig, RegistryAccess, RegistryConfig
from ipc.targets import AWS
from ipc.work_order import WorkOrder
from workers.aws.errors import AwsRefused
from workers.aws.requests import Aws, open_aws
from workers.docker.images import ImageName, parse_image
from workers.environments import CloudUnavailable, environment_config
from workers.registries import Pause, RegistryError
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.distribution import MANIFEST_TYPES, Distribution
from workers.registries.names import split

_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?P<domain>amazonaws\.com(?:\.cn)?)"
)
#: Before a token's end, in seconds, another one is asked for: a push may take its time.
_SPARE_SECONDS = 3600.0
_NO_REPOSITORY = "RepositoryNotFoundException"
_NO_IMAGE = "ImageNotFound"
_THERE_ALREADY = "RepositoryAlreadyExistsException"


class Place(msgspec.Struct, frozen=True):
    """A registry of an account in a region."""

    account: str
    region: str

    @property
    def host(self) -> str:
        """The registry's name."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{domain}"


def place_of(registry: str) -> Place | None:
    """Return the account and the region of a registry by its name, None where it is not Amazon's."""
    found = _HOST.fullmatch(registry)
    return Place(found["account"], found["region"]) if found else None


class EcrTokens(CredentialSources):
    """Where this host has credentials, with those of AWS for its registries that Docker's configuration lacks."""

    def __init__(self, access: RegistryAccess, own: str, settings: AwsConfig) -> None:
        super().__init__(access, own)
        self._settings = settings
        self._clients: dict[str, Aws] = {}
        self._tokens: dict[Place, tuple[Credentials, float]] = {}

    def find(self, registry: str, name: str = "") -> Credentials | None:
        """Return what there is for a registry: what the administrator wrote down, else a token."""
        written = super().find(registry, name)
        place = place_of(registry)
        return written if written is not None or place is None else self._token(place, registry)

    def at(self, region: str) -> Aws:
        """Return AWS in a region."""
        return self._clients.setdefault(region, open_aws(self._settings, region))

    def _token(self, place: Place, registry: str) -> Credentials:
        kept = self._tokens.get(place)
        if kept is not None and kept[1] - time.time() > _SPARE_SECONDS:
            return kept[0]
        answer = self.at(place.region).call("ecr", "get_authorization_token", f"the token for {registry}")
        given = answer["authorizationData"][0]
        username, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        found = Credentials(registry, username, password)
        self._tokens[place] = (found, given["expiresAt"].timestamp())
        return found


class EcrRegistry:
    """The repository of the configuration: its whole address, or its name in the agent's own account and region."""

    pushes = True

    def __init__(self, order: WorkOrder, pause: Pause) -> None:
        assert order.registry is not None
        self._may_create = order.aws.create_repositories
        self._address = order.registry.uri or _found_address(order, order.registry)
        self._sources = EcrTokens(order.registry_access, self._address.partition("/")[0], order.aws)
        self._api = Distribution(order.registry_access, self._sources, pause)

    def repository(self, entity: str, project: str) -> str:  # noqa: ARG002 (the interface's)
        """Return the repository, which all projects share: Amazon's do not come into being by a push."""
        return parse_image(self._address).repository

    def digest(self, reference: str) -> str | None:
        """Return the digest of the manifest; creates the repository where it is missing and that is allowed."""
        image = parse_image(reference)
        registry, name = split(image)
        place = place_of(registry)
        if place is None:
            return self._api.digest(image)
        try:
            return self._digest(place, name, image)
        except AwsRefused as error:
            if error.code != _NO_REPOSITORY:
                raise RegistryError(error.message, hint=error.hint) from error
        except CloudUnavailable as error:
            raise RegistryError(error.message, hint="Launch the job again later.") from error
        self._create(place, name)
        return None

    def _digest(self, place: Place, name: str, image: ImageName) -> str | None:
        wanted = {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag}
        answer = self._sources.at(place.region).call(
            "ecr",
            "batch_get_image",
            f"the question for {image}",
            registryId=place.account,
            repositoryName=name,
            imageIds=[wanted],
            acceptedMediaTypes=list(MANIFEST_TYPES),
        )
        if answer.get("images"):
            return str(answer["images"][0]["imageId"]["imageDigest"])
        _check_failures(answer, image)
        return None

    def _create(self, place: Place, name: str) -> None:
        if not self._may_create:
            raise RegistryError(
                f"There is no repository {name} in {place.host}.",
                hint="Create it, or have the administrator set launchd.aws.create_repositories.",
            )
        doing = f"the creation of the repository {name}"
        try:
            self._sources.at(place.region).call(
                "ecr", "create_repository", doing, registryId=place.account, repositoryName=name
            )
        except AwsRefused as error:
            # Another worker was first.
            if error.code != _THERE_ALREADY:
                raise RegistryError(error.message, hint=error.hint) from error

    def credentials(self, reference: str) -> Credentials | None:
        """Return the credentials for the registry of ``reference``."""
        return self._sources.find(*split(parse_image(reference)))


def _check_failures(answer: dict[str, Any], image: ImageName) -> None:
    """Raise for a failure that says more than that there is no such image."""
    for failure in answer.get("failures", []):
        if failure.get("failureCode") != _NO_IMAGE:
            raise RegistryError(f"ECR does not say whether it has {image}: {failure.get('failureReason')}.")


def _found_address(order: WorkOrder, registry: RegistryConfig) -> str:
    """Return the address of the repository that the configuration has by name; W&B's documentation has it so."""
    if not registry.repository:
        raise HostError(
            "The configuration of this agent does not name its repository of ECR.",
            hint="The administrator sets builder.destination, or registry.repository.",
        )
    aws = open_aws(order.aws, registry.region or environment_config(order, AWS).region)
    try:
        place = Place(registry.account_id or aws.caller().account, aws.region)
    finally:
        aws.forget()
    return f"{place.host}/{registry.repository}"
