"""Write docs/reference/cli.md from the commands themselves; `--check` only compares.

python docs/generate_cli.py
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click

from pixseek.cli import main as program
from pixseek.cli.exit_codes import EXIT_CODES
from pixseek.cli.options import Command, CommandGroup, common_options

PAGE = Path(__file__).parent / "reference" / "cli.md"
MADE = "<!-- Made by docs/generate_cli.py from the code; edit the code. -->\n"


def page() -> str:
    """The whole page."""
    assert isinstance(program, CommandGroup)
    every = program.all_commands(click.Context(program)).values()
    commands = [command for command in every if isinstance(command, Command)]
    parts = ["# Command line reference\n", MADE, "`pixseek [OPTIONS] COMMAND [ARGUMENTS]`\n"]
    sections: dict[str, list[Command]] = {}
    for command in commands:
        sections.setdefault(command.section, []).append(command)
    for title, members in sections.items():
        links = ", ".join(f"[`{member.name}`](#pixseek-{member.name})" for member in members)
        parts.append(f"- {title}: {links}")
    parts += ["\n## Options of all commands\n", "Before the command or after it.\n"]
    parts += [_options([*common_options()]), "`-h`, `--help` explains any command.\n"]
    parts += ["## Exit codes\n", "| code | meaning |", "|---|---|"]
    parts += [f"| {row.code} | {row.meaning} |" for row in EXIT_CODES]
    parts.append(
        "\nErrors go to standard error: what failed, on what, and what to do next. With "
        "`PIXSEEK_DEBUG=1` the\ntraceback is shown.\n"
    )
    parts += [_command(command) for command in commands]
    return "\n".join(parts).rstrip() + "\n"


def _command(command: Command) -> str:
    usage = [f"pixseek {command.name}"]
    usage += [param.metavar or param.human_readable_name for param in command.own_params
              if isinstance(param, click.Argument)]  # fmt: skip
    if any(isinstance(param, click.Option) for param in command.own_params):
        usage.insert(1, "[OPTIONS]")
    examples = "\n".join(f"$ {line}\n  # {what}" for line, what in command.examples)
    parts = [
        f"## pixseek {command.name}\n",
        f"`{' '.join(usage)}`\n",
        f"{inspect.cleandoc(command.help or '')}\n",
        f"```text\n{examples}\n```\n",
        _options(command.own_params),
    ]
    return "\n".join(part for part in parts if part)


def _options(params: list[click.Parameter]) -> str:
    rows = []
    for param in params:
        if not isinstance(param, click.Option):
            continue
        names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
        value = "" if param.is_flag else param.metavar or ""
        if isinstance(param.type, click.Choice):
            value = "|".join(param.type.choices)
        shown = f"{names} `{value}`" if value else names
        default = f" Default: {param.default}." if param.show_default else ""
        text = re.sub(r"\[env: (\w+)\]", r"Environment: `\1`.", param.help or "")
        rows.append(f"- {shown}: {text}{default}")
    return "\n".join(rows) + "\n" if rows else ""


def main() -> int:
    """Write the page, or say that it is stale."""
    text = page()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv:
        print(f"stale: {PAGE}; run python docs/generate_cli.py")
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
