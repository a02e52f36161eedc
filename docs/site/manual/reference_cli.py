"""The reference of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

import typer

from backend.cli import app
from manual.tables import row

HEAD: Final = """\
# Command line

`lookalike --help` and `lookalike COMMAND --help` show the same in the terminal. A command ends with
0 if it did what it was asked, with 1 if it could not, and with 2 if it was called wrongly.

"""


def page() -> str:
    """Return the page: one section for each command, in the order of `lookalike --help`."""
    root: Any = typer.main.get_command(app)
    return HEAD + "\n\n".join(_sections(root, "lookalike")) + "\n"


def _sections(command: Any, path: str) -> Iterator[str]:
    children: dict[str, Any] = getattr(command, "commands", {})
    if not children or command.invoke_without_command:
        yield _section(command, path)
    for name, child in children.items():
        if not child.hidden:
            yield from _sections(child, f"{path} {name}")


def _section(command: Any, path: str) -> str:
    shown = [it for it in command.params if it.name != "help" and not getattr(it, "hidden", False)]
    arguments = [_metavar(it) for it in shown if it.param_type_name == "argument"]
    options = ["[OPTIONS]"] if len(arguments) < len(shown) else []
    usage = f"```\n{' '.join([path, *options, *arguments])}\n```"
    text = inspect.cleandoc(command.help or "").replace("\f", "")
    table = ["| argument or option | default | meaning |", "|---|---|---|", *map(_row, shown)]
    return "\n".join([f"## {path}\n", usage, "", text, "", *(table if shown else [])])


def _metavar(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper() + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = [_metavar(parameter)]
    else:
        names = [*parameter.opts, *parameter.secondary_opts]
    default = parameter.default
    value = getattr(default, "value", default)
    hidden = value in (None, False, (), []) or callable(value) or value is True
    cells = (
        ", ".join(f"`{name}`" for name in names),
        "" if hidden else f"`{value}`",
        " ".join((parameter.help or "").split()),
    )
    return row(*cells)
