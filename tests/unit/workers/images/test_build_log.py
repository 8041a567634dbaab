"""What a build says, and what is made of it."""

from pathlib import Path

from workers.images.build_log import BuildLog, follow, in_words

BUILDKIT = """\
#5 [build 3/4] RUN --mount=type=cache,id=x,target=/y if [ -f /a ]; then . /a; fi; pip install -r r.txt
#5 1.102 ERROR: Could not find a version that satisfies the requirement nosuch
#5 1.200 ERROR: No matching distribution found for nosuch
#5 ERROR: executor failed running [/bin/sh -c pip install]: exit code: 1
------
 > [build 3/4] RUN --mount=type=cache,id=x,target=/y if [ -f /a ]; then . /a; fi; pip install -r r.txt:
#5 1.200 ERROR: No matching distribution found for nosuch
------
executor failed running [/bin/sh -c pip install]: exit code: 1
"""


def test_a_failure_is_told_by_its_step_and_its_last_complaint() -> None:
    assert in_words(BUILDKIT) == (
        "It failed at 'RUN pip install -r r.txt'. It said: No matching distribution found for nosuch."
    )


def test_a_failure_without_a_complaint_is_told_by_its_last_words() -> None:
    assert in_words("#5 0.1 starting\n#5 0.2 sh: nosuch: not found\nexit code: 127\n") == (
        "It said: sh: nosuch: not found."
    )
    assert in_words("") == ""


def test_lines_are_kept_and_told(tmp_path: Path) -> None:
    told: list[str] = []
    with BuildLog(tmp_path / "build.log", ["s3cret"]) as log:
        take = follow(log, told.append)
        for line in [*BUILDKIT.splitlines()[:2], log.redact("#6 0.1 Looking in http://u:s3cret@index")]:
            take(line)

    assert told == [
        "building the image: [build 3/4] RUN pip install -r r.txt",
        "building the image: ERROR: Could not find a version that satisfies the requirement nosuch",
        "building the image: Looking in http://u:***@index",
    ]
    assert (tmp_path / "build.log").read_text().count("\n") == 3
    assert "s3cret" not in (tmp_path / "build.log").read_text()


def test_what_was_left_out_is_noticed(tmp_path: Path) -> None:
    with BuildLog(tmp_path / "build.log") as log:
        log.add("#9 3.1 launchd: not installed: a==1, b==2")

    assert log.left_out == "a==1, b==2"


def test_a_log_has_an_end(tmp_path: Path) -> None:
    with BuildLog(tmp_path / "build.log") as log:
        for _ in range(40):
            log.add("x" * (1 << 20))

    assert (tmp_path / "build.log").stat().st_size == 32 << 20
