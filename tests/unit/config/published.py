"""The YAML blocks of W&B's documentation of Launch, as it has them; its comments in other languages are left out.

Of the five pages that this project goes by, two are on the class LaunchAgent and one on the Python functions; the page
on the agent and the quickstart have YAML. They are those of the repository https://github.com/wandb/docs.
"""

from typing import NamedTuple

AGENT_PAGE = "i18n/ja/docusaurus-plugin-content-docs/current/guides/launch/run-agent.md"
QUICKSTART_PAGE = "the quickstart in Korean: guides/launch"


class Block(NamedTuple):
    """A block: a name for the test, the page, and the text."""

    name: str
    page: str
    text: str


#: The first block of the page on the agent. Two of its colons are of full width, and stay so for those who copy it.
WHOLE_FILE = """\
entity: <entity-name>

max_jobs: -1

queues:
- default

environment:
  type: aws|gcp

registry:
  type: ecr|gcr

builder\uff1a
  type\uff1adocker|kaniko|noop
"""

BLOCKS = (
    Block("whole file", AGENT_PAGE, WHOLE_FILE.replace("\uff1adocker", ": docker").replace("\uff1a", ":")),
    Block("environment aws", AGENT_PAGE, "environment:\n  type: aws\n  region: <aws-region>\n"),
    Block(
        "environment gcp",
        AGENT_PAGE,
        "environment:\n  type: gcp\n  region: <gcp-region>\n  project: <gcp-project-id>\n",
    ),
    Block(
        "registry ecr",
        AGENT_PAGE,
        "registry:\n  # (a comment)\n  type: ecr\n  # (a comment)\n  repository: my-ecr-repo.\n",
    ),
    Block(
        "registry gcr",
        AGENT_PAGE,
        "registry:\n  type: gcr\n  repository: my-artifact-repo\n  image-name: my-image-name\n",
    ),
    Block("builder docker", AGENT_PAGE, "builder:\n  type: docker\n"),
    Block(
        "builder kaniko",
        AGENT_PAGE,
        "builder:\n  type: kaniko\n  build-context-store: s3://my-bucket/build-contexts/  # (a comment)\n"
        "  build-job-name: wandb-image-build  # (a comment)\n",
    ),
    Block(
        "builder kaniko with a secret",
        AGENT_PAGE,
        "builder:\n  type: kaniko\n  build-context-store: <my-build-context-store>\n"
        "  secret-name: <k8s-secret-name>\n  secret-key: <secret-file-name>\n",
    ),
    Block("builder noop", AGENT_PAGE, "builder:\n  type: noop\n"),
    Block("core", QUICKSTART_PAGE, "max_jobs: -1\n\nentity: <entity-name>\n\nqueues:\n  - <queue-name>\n"),
    Block("builder", QUICKSTART_PAGE, "builder:\n  type: docker | kaniko | noop\n"),
)

#: What a reader writes in place of each placeholder.
VALUES = {
    "<entity-name>": "my-team",
    "<queue-name>": "training",
    "<aws-region>": "us-east-1",
    "<gcp-region>": "us-central1",
    "<gcp-project-id>": "my-project-123",
    "<my-build-context-store>": "gs://my-bucket/contexts",
    "<k8s-secret-name>": "cloud-credentials",
    "<secret-file-name>": "key.json",
}


def filled(block: Block) -> str:
    """Return the text of a block with a value in place of each placeholder."""
    text = block.text
    for placeholder, value in VALUES.items():
        text = text.replace(placeholder, value)
    return text


def alternatives(text: str) -> list[str]:
    """Return the text once for each of the alternatives that it has as `a|b`; the first of all stand together."""
    lines = [line.partition("type: ") for line in text.splitlines()]
    choices = [[word.strip() for word in value.split("|")] for _, key, value in lines if key]
    rounds = max(map(len, choices), default=1)
    return [_nth(lines, number) for number in range(rounds)]


def _nth(lines: list[tuple[str, str, str]], number: int) -> str:
    chosen = []
    for before, key, value in lines:
        words = [word.strip() for word in value.split("|")]
        chosen.append(before + key + (words[min(number, len(words) - 1)] if key else value))
    return "\n".join(chosen) + "\n"
