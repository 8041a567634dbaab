"""What people do with W&B's client, as rows of docs/compatibility.md. Each row is tried by at least one test."""

import pytest

LAUNCH = {
    "-d": "`wandb launch -d IMAGE`",
    "-u git": "`wandb launch -u GIT`",
    "-u dir": "`wandb launch -u DIRECTORY`",
    "-j": "`wandb launch -j JOB`",
}

LOGIN = "`wandb login --host URL KEY`"
VERIFY = "`wandb login --verify`, with a right and a wrong key"
VERIFY_HOST = "`wandb verify --host URL`"
OUR_LOGIN = "`launchd login`, then any command"
STAY = "any command afterwards, without `WANDB_API_KEY`"

INIT = "`wandb.init` with name, group, job type, tags and notes"
CONFIG = "`config`, also changed later"
LOG = "`log` and `summary`"
FILES = "console lines, `save` and the client's own files"
FINISH = "`finish`, with success and failure"
RESUME = "`resume=`"
FORK = "`fork_from=`, read by `Api.run`"
REWIND = "`resume_from=`, read by `Api.run`"
ALERT = "`run.alert()`"
SYNC = '`wandb.init(mode="offline")`, later `wandb sync`'
STOP = "a run that is stopped at the queue server ends"

LOG_ARTIFACT = "`log_artifact`, with files, a reference, description and metadata"
VERSIONS_OF_ARTIFACT = "versions, aliases, the same content again"
PARTS_OF_ARTIFACT = (
    '`upsert_artifact`, `finish_artifact`; `wandb.Table(log_mode="INCREMENTAL")`; a lone `add_reference`'
)
USE_ARTIFACT = "`use_artifact`"
DOWNLOAD = "`download`"
LINK_ARTIFACT = (
    "`link_artifact` to a collection of this and of another project, `link_model`, `use_artifact` from there"
)

IMAGE_JOB = "a run with `WANDB_DOCKER` becomes an image job"
CREATE_GIT = "`wandb job create git`"
CREATE_CODE = "`wandb job create code`"
CREATE_IMAGE = "`wandb job create image`"
LIST_JOBS = "`wandb job list`"
DESCRIBE_JOB = "`wandb job describe`"

CREATE_QUEUE = "`create_run_queue`, and a queue's properties"
CHANGE_QUEUE = "`upsert_run_queue`"
DELETE_QUEUE = "`RunQueue.delete`"
LAUNCH_ADD = "`launch_add`, `QueuedRun.state`, `RunQueue.items`"
DELETE_ITEM = "`QueuedRun.delete`"
CALL_JOB = "`job`, `Job.call`, `list_jobs`, `QueuedRun.wait_until_finished`"

READ_RUN = "`run`: state, config, summary, history, files"
READ_RUNS = "`runs`, with filters and order"
CHANGE_RUN = "`Run.update`, `summary.update`"
READ_ARTIFACT = "`artifact`, `artifacts`, types, collections, lineage"
CHANGE_ARTIFACT = "`Artifact.save`: aliases, description, metadata"
READ_LINKS = "`Artifact.linked_artifacts`, `source_artifact`, `unlink`; collections of links: list, save, delete"

SELDOM = "`commit_hash`, `storage_region`, `prior_runs`, `expected_run_count`, pages of one, deleting twice"

SWEEP = "`wandb sweep`, `wandb agent`"
RESUME_SWEEP = "`mark_preempting` in a sweep; `wandb sweep --resume` after a run is deleted"
CUSTOM_SWEEP = "`wandb launch-sweep` with `method: custom` and `scheduler.job`"
LAUNCH_SWEEP = "`wandb launch-sweep CONFIG` with `-q`"

EXPORTS = "`Run.download_history_exports`, with pyarrow on the queue server"

REPORTS = "`wandb_workspaces`: reports and workspaces are saved, read, changed, listed and deleted"

REFUSED = "custom charts, automations, integrations and registries are refused with a sentence"

PEOPLE = "`create_user`, `Team`: create, invite, service accounts, members; `users`, `projects`"

BESIDE_NEWEST = "runs, artifacts and jobs that it made, read by the newest client"
READS_NEWEST = "runs, artifacts and jobs that the newest client made, read by it"

AGENT_JOB = "runs a job of launchd's queue"
AGENT_BESIDE = "serves one queue together with launchd's agent"
AGENT_FAILURE = "reports a failure, with its error file"
AGENT_STOP = "leaves when it is stopped at the queue server"

OPTIONS = {
    "-q": "`-q QUEUE`",
    "--priority": "`-q` with `--priority`",
    "--set-var": "`-q` with `--set-var`",
    "-c": "`-q` with `-c FILE`",
    "-R": "`-q` with `-R FILE`",
}


AT_ONCE = {"": "", "-c": " with `-c FILE`", "-R": " with `-R FILE`"}
ONLY_QUEUED = "any of them with `--priority` or `--set-var`"


def at_once(source: str, option: str) -> str:
    """Name the row of a way to launch without a queue."""
    return f"{LAUNCH[source]}{AT_ONCE[option]}"


def queued(source: str, option: str) -> str:
    """Name the row of a way to launch through a queue."""
    return f"{LAUNCH[source]} {OPTIONS[option]}"


SECTIONS: dict[str, tuple[str, ...]] = {
    "Logging in": (LOGIN, VERIFY, VERIFY_HOST, STAY, OUR_LOGIN),
    "Launching through a queue": tuple(queued(source, option) for source in LAUNCH for option in OPTIONS),
    "Launching at once": (*(at_once(source, option) for source in LAUNCH for option in AT_ONCE), ONLY_QUEUED),
    "Jobs": (CREATE_GIT, CREATE_CODE, CREATE_IMAGE, LIST_JOBS, DESCRIBE_JOB, IMAGE_JOB),
    "Sweeps": (SWEEP, RESUME_SWEEP, LAUNCH_SWEEP, CUSTOM_SWEEP),
    "Runs": (INIT, CONFIG, LOG, FILES, FINISH, RESUME, FORK, REWIND, ALERT, SYNC, STOP),
    "Artifacts": (LOG_ARTIFACT, VERSIONS_OF_ARTIFACT, PARTS_OF_ARTIFACT, USE_ARTIFACT, DOWNLOAD, LINK_ARTIFACT),
    "`wandb.Api()`": (
        *(READ_RUN, READ_RUNS, CHANGE_RUN, EXPORTS),
        *(READ_ARTIFACT, CHANGE_ARTIFACT, READ_LINKS),
        *(SELDOM, PEOPLE, REPORTS, REFUSED),
    ),
    "`wandb.Api()` on queues": (CREATE_QUEUE, CHANGE_QUEUE, DELETE_QUEUE, LAUNCH_ADD, DELETE_ITEM, CALL_JOB),
    "Beside the newest client (0.31.0 itself: beside 0.20.1)": (BESIDE_NEWEST, READS_NEWEST),
    "`wandb launch-agent`": (AGENT_JOB, AGENT_BESIDE, AGENT_FAILURE, AGENT_STOP),
}


def command(*rows: str) -> pytest.MarkDecorator:
    """Say which rows the test decides."""
    unknown = set(rows) - {row for section in SECTIONS.values() for row in section}
    if unknown:
        raise ValueError(f"no section has the row {unknown}")
    return pytest.mark.command(*rows)
