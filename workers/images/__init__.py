"""What the image of a project is made of: its files, its Dockerfile, and a name by its content.

The same for every builder; nothing here speaks to an engine. What a submitter wrote is copied as data by the job's own
user, and read in a copy that no job can change.
"""

from pathlib import Path

import msgspec

#: An image with this label was built by an agent; its value is the project, ``ENTITY/PROJECT``.
BUILT_LABEL = "launchd.built"


class ImagePlan(msgspec.Struct, frozen=True):
    """One image, ready to be built.

    ``reference`` is its full name; its tag is a hash of everything that makes the image. ``context`` is a directory of
    the agent's, which goes once the build is over; ``dockerfile`` lies in it. ``secrets`` are texts by the ids under
    which a step of the build may have them; they are part of no layer and of no name. ``log`` is the file in the job's
    directory that keeps the build's output. ``labels`` go to the image. ``entry_point`` replaces the job's where the
    files lie elsewhere in the image, and is empty otherwise. With ``is_generated`` the Dockerfile is the agent's,
    and says the same without its mounts; ``named_bases`` are the images in it that the submitter named.
    """

    reference: str
    context: Path
    dockerfile: Path
    log: Path
    build_args: dict[str, str] = {}
    secrets: dict[str, str] = {}
    labels: dict[str, str] = {}
    entry_point: tuple[str, ...] = ()
    is_generated: bool = False
    named_bases: tuple[str, ...] = ()
