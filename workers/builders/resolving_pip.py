"""Runs pip in a process that can start no other one: the text of this file is a program for the interpreter of a job.

With `--one-index` as the first argument, pip takes a package from the first of its indexes that has its name. It has no
such option, and merges what all of them have. This program asks the indexes in turn, through pip's own session, so that
certificates, proxies, passwords and caches are pip's; all else is left to pip. That goes beyond pip's public interface,
which has been the same here from 22.2 to 26.3; a pip that is made otherwise is refused by name, and installs nothing.

It needs nothing of this project, and Python 3.8.
"""

from __future__ import annotations

import runpy
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn")
_ACCEPTED = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
_NOT_FOUND = (404, 410)


def refuse(event: str, _arguments: object) -> None:
    """Refuse to start a process: what one could do, pip can do without."""
    if event in _PROCESSES:
        raise PermissionError("nothing is built while requirements are resolved")


def take_from_one_index() -> None:
    """Let pip look for a package in one index alone, the first that has its name."""
    error = import_module("pip._internal.exceptions").InstallationError
    collector_class = import_module("pip._internal.index.collector").LinkCollector
    collect = collector_class.collect_sources

    def first_with(collector: Any, project_name: str) -> list[str]:
        for location in collector.search_scope.get_index_urls_locations(project_name):
            page = location + "index.html" if location.startswith("file:") else location
            status = collector.session.get(page, headers={"Accept": _ACCEPTED}).status_code
            if status < 400:
                return [location]
            if status not in _NOT_FOUND:
                # Whether it has the name is not known, and the next one must not take its place.
                raise error(f"An index answered {status} when it was asked for {project_name}")
        return []

    def collect_from_first(collector: Any, project_name: str, candidates_from_page: Any) -> Any:
        whole = collector.search_scope
        found = first_with(collector, project_name)
        collector.search_scope = SimpleNamespace(
            find_links=whole.find_links, get_index_urls_locations=lambda _name: found
        )
        try:
            return collect(collector, project_name, candidates_from_page)
        finally:
            collector.search_scope = whole

    collector_class.collect_sources = collect_from_first


def main() -> None:
    """Run pip with the arguments of this process."""
    if sys.argv[1:2] == ["--one-index"]:
        del sys.argv[1]
        try:
            take_from_one_index()
        except (ImportError, AttributeError) as error:
            sys.exit(f"ERROR: this pip cannot be told to take a package from one index alone: {error}")
    sys.addaudithook(refuse)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
