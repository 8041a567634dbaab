"""A job that is a command alone: its project is an empty directory."""

from workers.context import JobContext
from workers.sources import Project


class CommandSource:
    """Fetches nothing; the submitter's entry point is all there is."""

    def fetch(self, context: JobContext) -> Project:
        """Return the job's empty working directory as its project."""
        return Project(context.work)
