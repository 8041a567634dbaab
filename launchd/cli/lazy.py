"""A group of commands whose modules are loaded when they are called."""

import difflib
import pkgutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from launchd.cli.streams import OutputLost, give_up_output, prepare_streams, settle_errors
from launchd.cli.terminal import echo, visible_errors

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group whose ``groups`` have, by the title under which `--help` shows them, its commands.

    Of each command they have the dotted path and the summary.
    """

    def __init__(self, *args: Any, groups: Mapping[str, Mapping[str, tuple[str, str]]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._groups = groups
        self._paths = {name: command for commands in groups.values() for name, command in commands.items()}

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the program, also where it has no standard streams, or where its output cannot be written."""
        prepare_streams()
        try:
            return super().main(*args, **settings)
        except OutputLost as error:
            give_up_output()
            echo(f"Error: {error}", err=True)
            sys.exit(1)
        finally:
            settle_errors()

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """Read the arguments before the command."""
        with visible_errors():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with visible_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, in the order of ``groups``."""
        return list(self._paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load a command."""
        if cmd_name not in self._paths:
            return None
        command: click.Command = pkgutil.resolve_name(self._paths[cmd_name][0])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command in the arguments; of one that is not there, name the nearest."""
        word = args[0]
        near = difflib.get_close_matches(word, self._paths, 1)
        if word not in self._paths and near and not word.startswith("-"):
            ctx.fail(f"No such command {word!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the commands and options that begin so, without loading the commands."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - no other command needs it

        names = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in self._paths.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without loading them."""
        for title, commands in self._groups.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()])
