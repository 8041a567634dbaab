"""Which base images a Dockerfile names, as far as that can be told without building it. Pure."""

import re
from collections.abc import Iterator

_FROM = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.IGNORECASE | re.MULTILINE
)
_SCRATCH = "scratch"


def base_images(text: str) -> Iterator[str]:
    """Yield the images that ``text`` is built from, each once.

    Those whose names come from a build argument are left out: buildah pulls them itself, and without credentials.
    """
    known = {_SCRATCH}
    for found in _FROM.finditer(text):
        image, stage = found["image"].strip("\"'"), found["stage"]
        if image.lower() not in known and "$" not in image:
            known.add(image.lower())
            yield image
        if stage:
            known.add(stage.lower())
