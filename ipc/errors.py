"""One error tree for what can go wrong with a job, and its form on the wire.

An exception never crosses a process border; an :class:`ErrorReport` does.
"""

import msgspec


class ErrorReport(msgspec.Struct, frozen=True):
    """Why a job could not be run, for the person who launched it.

    ``stage`` is W&B's word for where it went wrong (``agent``, ``build`` or
    ``run``), ``kind`` the class name of the error, ``message`` one sentence,
    ``hint`` what to do about it.
    """

    stage: str
    kind: str
    message: str
    hint: str | None = None

    def sentence(self) -> str:
        """Return message and hint as one line of text."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class JobError(Exception):
    """A job cannot be run, and trying again would not help.

    ``detail`` is a longer text for a file in the job's directory, such as the end of a build's output.
    """

    stage = "agent"

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def report(self) -> ErrorReport:
        """Return the error as data."""
        return ErrorReport(self.stage, type(self).__name__, self.message, self.hint)


class InvalidSpec(JobError):
    """The run spec says something that cannot be run."""


class PolicyRefused(JobError):
    """The policy of this host does not grant what the job asks for."""


class HostError(JobError):
    """The host cannot do its part: its disk is full, for instance."""


class SourceError(JobError):
    """The job's source could not be fetched."""


class BuildError(JobError):
    """The job's image or environment could not be built."""

    stage = "build"


class SubmitError(JobError):
    """The target refused the workload."""

    stage = "run"


class RunnerUnavailable(JobError):
    """The target did not answer; the workload may well be alive. Worth trying again."""

    stage = "run"


class JobCancelled(JobError):
    """The job was stopped before its workload existed."""
