"""``--failures FILE``: which tests of a run failed, and what each said, for a program that runs them again."""

import json
from pathlib import Path

import pytest


class Failures:
    """The plugin: one for a run, in the process that gathers the reports of all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            sections = (f"-- {name}\n{text}" for name, text in report.sections)
            said = "\n".join([f"in its {report.when}:", report.longreprtext, *sections])
            self._failed[report.nodeid] = f"{self._failed.get(report.nodeid, '')}{said}\n"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = report.longreprtext

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._failed))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--failures", type=Path, help="write the failed tests and what they said into this file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--failures")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(path), "failures")
