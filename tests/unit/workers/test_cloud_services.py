"""What workers say to the processes that ask clouds: what cannot be said is the job's mistake, and told as one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.errors import InvalidSpec
from ipc.settings import AwsConfig, EnvironmentConfig, VertexConfig
from tests.support.request_services import serving_here
from workers.aws.errors import AwsRefused
from workers.aws.requests import AskedAws
from workers.aws.requests import Login as AwsLogin
from workers.gcp.requests import AskedGcp
from workers.gcp.requests import Login as GcpLogin

LARGE = 2**64


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with serving_here(tmp_path, monkeypatch):
        yield tmp_path


def test_a_number_larger_than_any_is_refused_by_its_request(directory: Path) -> None:
    aws = AskedAws(str(directory / "aws.sock"), AwsLogin(AwsConfig()))
    with pytest.raises(AwsRefused, match="AWS would refuse the job a: it has a number of more than 64 bits"):
        aws.call("sagemaker", "create_training_job", "the job a", HyperParameters=LARGE)

    gcp = AskedGcp(str(directory / "gcp.sock"), GcpLogin(EnvironmentConfig("gcp"), VertexConfig()))
    with pytest.raises(InvalidSpec, match="Vertex AI has no such job: it has a number of more than 64 bits"):
        gcp.check_job({"display_name": LARGE})
