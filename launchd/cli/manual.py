"""The manual pages, made from the commands as `--help` is: one for `launchd`, and one for each command below it. Pure.

Their texts are man(7). The date is left empty, for it is that of the build.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping

import click

from launchd import __version__

#: Of a page that stands for itself alone; the packages put the date of the build in place of the empty one.
_TITLE = '.TH {name} 1 "" "launchd {version}" "User commands"'

#: Lines of a page as it is written; a word is never divided.
_FILL = textwrap.TextWrapper(width=78, break_long_words=False, break_on_hyphens=False)

_EXIT_CODES = """.SH EXIT STATUS
.TP
.B 0
It was done.
.TP
.B 1
It was not; the reason is on standard error.
.TP
.B 2
The command line cannot be understood.
.TP
.B 78
The configuration of the agent cannot be used.
"""

_FILES = """.SH FILES
.TP
.I /etc/launch\\-agent/launch\\-config.yaml
Configuration of the system service.
.TP
.I ~/.config/wandb/launch\\-config.yaml
Configuration of an agent of one's own.
.TP
.I /usr/share/launch\\-agent/launch\\-config.schema.json
JSON Schema of the configuration, for editors.
.SH ENVIRONMENT
.TP
.B WANDB_BASE_URL
Address of the queue server.
.TP
.B WANDB_API_KEY
Key for it.
.TP
.B WANDB_ENTITY
Whose queues are meant.
.TP
.B LAUNCHD_CONFIG
Configuration of the agent.
.TP
.B LAUNCHD_STATE_DIR
Directory of
.BR "launchd up" .
"""


def pages(command: click.Group, summaries: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of the file of each page, and its text; ``summaries`` are those of the commands, by name."""
    context = click.Context(command, info_name="launchd")
    yield "launchd.1", _first_page(command, context, summaries)
    for name, summary in summaries.items():
        below = command.get_command(context, name)
        if below is not None:
            yield f"launchd-{name}.1", _page(below, name, summary, context)


def _first_page(command: click.Group, context: click.Context, summaries: Mapping[str, str]) -> str:
    also = ",\n".join(f".BR launchd\\-{escaped(name)} (1)" for name in summaries)
    body = "".join(f".TP\n.BR launchd\\-{escaped(name)} (1)\n{_line(text)}\n" for name, text in summaries.items())
    return "\n".join(
        (
            _title("launchd"),
            ".SH NAME\nlaunchd \\- launch agent for hosts with GPUs, with a queue server of its own",
            _synopsis(command, "launchd", context),
            f".SH DESCRIPTION\n{_text(command.help)}.SH COMMANDS",
            f"{body}{_options(command, context)}{_FILES}{_EXIT_CODES}.SH SEE ALSO\n{also}\n",
        )
    )


def _page(command: click.Command, name: str, summary: str, above: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=above)
    text = "\n".join(
        (
            _title(f"launchd-{name}"),
            f".SH NAME\nlaunchd\\-{escaped(name)} \\- {escaped(summary.rstrip('.'))}",
            _synopsis(command, f"launchd {name}", context),
            f".SH DESCRIPTION\n{_text(command.help)}{_options(command, context)}{_below(command, name, context)}",
        )
    )
    return f"{text}{_examples(command)}{_EXIT_CODES}.SH SEE ALSO\n.BR launchd (1)\n"


def _title(name: str) -> str:
    return _TITLE.format(name=escaped(name.upper()), version=__version__)


def _synopsis(command: click.Command, path: str, context: click.Context) -> str:
    return f".SH SYNOPSIS\n{_usage(command, path, context)}"


def _usage(command: click.Command, path: str, context: click.Context) -> str:
    words = " ".join(command.collect_usage_pieces(context))
    return f".B {escaped(path)}\n{_line(words)}"


def _options(command: click.Command, context: click.Context, heading: str = ".SH OPTIONS") -> str:
    records = [record for one in command.get_params(context) if (record := one.get_help_record(context)) is not None]
    entries = "".join(f".TP\n.B {escaped(names)}\n{_line(meaning)}\n" for names, meaning in records if meaning)
    return f"{heading}\n{entries}".lstrip("\n") if entries else ""


def _below(command: click.Command, name: str, context: click.Context) -> str:
    """Return the commands of a group, each with its options."""
    match command:
        case click.Group():
            found = ((each, command.get_command(context, each)) for each in command.list_commands(context))
            texts = (_of_group(below, f"launchd {name} {each}", context) for each, below in found if below is not None)
            return f".SH COMMANDS\n{''.join(texts)}"
        case _:
            return ""


def _of_group(command: click.Command, path: str, above: click.Context) -> str:
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=above)
    options = _options(command, context, heading="")
    return f".SS {escaped(path)}\n{_usage(command, path, context)}\n.PP\n{_text(command.help)}{options}"


def _examples(command: click.Command) -> str:
    """Return what stands below the options, which are examples: lines as they are."""
    lines = (command.epilog or "").replace("\b", "").strip().splitlines()
    kept = "\n".join(_literal(line.removeprefix("  ")) for line in lines if not line.startswith("Example"))
    return f".SH EXAMPLES\n.nf\n{kept}\n.fi\n" if kept else ""


def _text(help_text: str | None) -> str:
    """Return the paragraphs of a description; those after a backspace have lines of their own, as click has it."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(help_text or ""))
    return ".PP\n".join(map(_paragraph, paragraphs)) if help_text else ""


def _paragraph(text: str) -> str:
    if text.lstrip().startswith("\b"):
        lines = text.replace("\b", "").strip("\n").splitlines()
        return ".nf\n" + "\n".join(map(_literal, lines)) + "\n.fi\n"
    return f"{_line(text)}\n"


def _line(text: str) -> str:
    """Return a text to be filled: each sentence begins a line, as man(7) asks for, and no line is long."""
    sentences = re.split(r"(?<=[a-z)`][.?!]) (?=[A-Z`])", escaped(" ".join(text.split())))
    lines = [line for sentence in sentences for line in _FILL.wrap(sentence)]
    return "\n".join(map(_literal_start, lines))


def _literal(line: str) -> str:
    return _literal_start(escaped(line))


def _literal_start(line: str) -> str:
    """Return a line that begins with no request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def escaped(text: str) -> str:
    """Return ``text`` as roff prints it unchanged."""
    return text.replace("\\", "\\e").replace("-", "\\-")
