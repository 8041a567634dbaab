"""AWS as the environment of this host: whose credentials it uses, and copies to S3."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ipc.errors import InvalidSpec
from ipc.settings import EnvironmentConfig
from ipc.work_order import WorkOrder
from workers.aws.requests import Login
from workers.aws.sdk_errors import translated
from workers.aws.session import AwsSession

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<key>.*))?", re.DOTALL)


class AwsEnvironment:
    """AWS, in the region of the configuration."""

    def __init__(self, config: EnvironmentConfig, order: WorkOrder) -> None:
        self._aws = AwsSession(Login(order.aws, config.region))

    def verify(self) -> str:
        """Return as whom, and where, this host speaks to AWS; see :class:`~workers.environments.Environment`."""
        caller = self._aws.caller()
        return f"This host speaks to AWS as {caller.arn}, in the account {caller.account} and {self._aws.region}."

    def upload(self, path: Path, uri: str) -> None:
        """Copy a file, or what is below a directory, to S3. Links in a directory are left out."""
        bucket, key = _parsed(uri)
        if path.is_dir():
            prefix = key.rstrip("/")
            for file, name in _files_below(path):
                self._upload_file(file, bucket, f"{prefix}/{name}" if prefix else name)
        else:
            self._upload_file(path, bucket, f"{key}{path.name}" if not key or key.endswith("/") else key)

    def _upload_file(self, path: Path, bucket: str, key: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file, translated(f"the upload to s3://{bucket}/{key}"):
            self._aws.client("s3").put_object(Bucket=bucket, Key=key, Body=file)

    def remove(self, uri: str) -> None:
        """Remove a file from S3."""
        bucket, key = _parsed(uri)
        with translated(f"the removal of {uri}"):
            self._aws.client("s3").delete_object(Bucket=bucket, Key=key)

    def close(self) -> None:
        """Close what is open."""
        self._aws.forget()


def _parsed(uri: str) -> tuple[str, str]:
    """Return bucket and key of an address in S3; raises :class:`InvalidSpec`."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise InvalidSpec(f"{uri} is no address in S3.", hint="It has the form s3://BUCKET/KEY.")
    return found["bucket"], found["key"] or ""


def _files_below(directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below a directory, with its name there."""
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink():
                yield path, path.relative_to(directory).as_posix()
