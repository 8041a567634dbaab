"""Reading a file ends quickly for any content, with values or with one sentence."""

from pathlib import Path

import pytest

from launchd.config import ConfigError, Flags, load
from tests.unit.config.conftest import Read, Refuse

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join([f'*{chr(97 + level)}'] * 10)}]\n" for level in range(8)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("- a\n- b\n", "launch-config.yaml: a list stands where a mapping of settings must be."),
        ("just text", "launch-config.yaml: a single value stands where a mapping of settings must be."),
        ("queues: [a\nx: 1", "launch-config.yaml:1: this is no usable YAML (did not find expected ',' or ']')."),
        ("a: !!python/object:os.system {}", "launch-config.yaml:1: this is no usable YAML (could not determine"),
        ("a: *nothing", "launch-config.yaml:1: this is no usable YAML (found undefined alias"),
        ("a: 1\n---\nb: 2", "this is no usable YAML (but found another document)"),
        ("{[a]: 1}", "this is no usable YAML (found unhashable key)"),
        (b"entity: caf\xe9", "launch-config.yaml: byte 11 is not UTF-8: the file is no text."),
        ("entity: a\0b", "this is no usable YAML ("),
        ("x: " + "y" * (5 << 20), "launch-config.yaml: the file is larger than 1 MiB: it is no configuration."),
        (BOMB, "this is no usable YAML (it unfolds to too many values)"),
        ("a: &a [*a]", "this is no usable YAML (it unfolds to too many values)"),
        ("[" * 500_000, "this is no usable YAML (its values are nested deeper than 50 levels)"),
        ("{a: " * 200_000, "this is no usable YAML (its values are nested deeper than 50 levels)"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_file_that_cannot_be_used_gives_one_sentence(refuse: Refuse, content: str | bytes, sentence: str) -> None:
    [line] = refuse(content)

    assert sentence in line


def test_anchors_and_a_byte_order_mark_are_fine(read: Read) -> None:
    loaded = read(
        "\ufeffqueues: &names [a, b]\nlaunchd: {policy: {queues: {a: &rules {allow_venv: false}, b: *rules}}}"
    )

    assert not loaded.config.launchd.policy.for_queue("b").allow_venv


@pytest.mark.parametrize("kind", ["missing", "directory", "unreadable"])
def test_a_named_file_that_cannot_be_read_gives_one_sentence(tmp_path: Path, home: dict[str, str], kind: str) -> None:
    path = tmp_path / "config.yaml"
    if kind == "directory":
        path.mkdir()
    if kind == "unreadable":
        path.symlink_to(path)
    reasons = {"missing": "No such file", "directory": "Is a directory", "unreadable": "Too many levels"}

    with pytest.raises(ConfigError, match=rf"^{path}: the file cannot be read \({reasons[kind]}.*\)\.$"):
        load(str(path), home, Flags(queues=("q",)))


def test_a_usual_file_that_exists_and_cannot_be_read_is_not_passed_over(tmp_path: Path, home: dict[str, str]) -> None:
    usual = tmp_path / ".config/wandb/launch-config.yaml"
    usual.parent.mkdir(parents=True)
    usual.symlink_to("nowhere")

    with pytest.raises(ConfigError, match="cannot be read"):
        load(None, home, Flags(queues=("q",)))
