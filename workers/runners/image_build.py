"""Runs nothing: the job is over once its image is there. What `launch_add(build=True)` has its own agent do."""

from pathlib import Path

from ipc.built_image import BuiltImage, read_image, write_image
from ipc.errors import SubmitError
from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from ipc.targets import IMAGE_BUILD
from ipc.work_order import WorkOrder
from workers.runners import Capabilities, LaunchRequest, Runner, Status


class ImageBuildRunner(Runner):
    """The resource ``image-build``; its workload is a file in the job's directory that names the image."""

    # An image that the job is already has nothing to be done.
    capabilities = Capabilities(runs_images=True)

    def __init__(self, order: WorkOrder) -> None:
        super().__init__(order)
        self._directory = Path(order.directory)

    def submit(self, launch: LaunchRequest) -> Handle:
        """Write down which image the job came to; raises :class:`SubmitError` where that is none."""
        if launch.build.image is None:
            raise SubmitError("No image was built of the job.", hint="Give it source code.")
        if launch.build.archive is not None:
            raise SubmitError(
                f"The image {launch.build.image} was pushed to no registry, and no agent could run it.",
                hint="Name a repository to push it to.",
            )
        write_image(self._directory, BuiltImage(launch.build.image, launch.entry_point))
        return Handle(IMAGE_BUILD, launch.name)

    def find(self, name: str) -> Handle | None:
        """Return the handle where the image is written down."""
        return None if read_image(self._directory) is None else Handle(IMAGE_BUILD, name)

    def inspect(self, handle: Handle) -> Status:  # noqa: ARG002 (the interface's)
        """Return that it is over."""
        return Status(JobState.FINISHED, ExitResult(code=0))

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Do nothing: nothing runs."""
