"""Jobs whose only work is to build an image: what they leave, and when they leave nothing."""

from pathlib import Path

import pytest

from ipc.built_image import BuiltImage, read_image
from ipc.errors import SubmitError
from ipc.states import JobState
from workers.builders import Build
from workers.context import JobContext
from workers.runners import LaunchRequest
from workers.runners.image_build import ImageBuildRunner


def request(build: Build) -> LaunchRequest:
    return LaunchRequest("name", ("sh", "main.sh"), {}, Path("/work"), build, ("--fast",))


def test_the_image_is_written_down_with_the_jobs_command(context: JobContext) -> None:
    runner = ImageBuildRunner(context.order)
    assert runner.find("name") is None

    handle = runner.submit(request(Build(image="registry/x:1")))

    assert read_image(context.directory) == BuiltImage("registry/x:1", ("sh", "main.sh"))
    assert runner.find("name") == handle
    assert runner.inspect(handle).state is JobState.FINISHED


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (Build(), "No image was built"),
        (Build(image="x:1", archive="/a.tar"), "The image x:1 was pushed to no registry"),
    ],
)
def test_what_no_agent_could_run_is_refused(context: JobContext, build: Build, sentence: str) -> None:
    runner = ImageBuildRunner(context.order)

    with pytest.raises(SubmitError, match=sentence) as failure:
        runner.submit(request(build))

    assert failure.value.hint
    assert runner.find("name") is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"image": 3}'])
def test_a_file_that_says_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image.json").write_bytes(content)

    assert read_image(tmp_path) is None
