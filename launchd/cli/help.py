"""`launchd help`: shows the help of a command, as its `--help` does."""

import click

from launchd.cli.terminal import echo


@click.command("help")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def show_help(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command, as in `launchd help queue create`; without one, the list of commands."""
    parent = context.find_root()
    command: click.Command = parent.command
    for word in words:
        match command:
            case click.Group():
                _, found, _ = command.resolve_command(parent, [word])
            case _:
                raise click.UsageError(f"`{parent.command_path}` has no commands below it.")
        assert found is not None
        command, parent = found, click.Context(found, info_name=word, parent=parent)
    echo(*command.get_help(parent).splitlines())
