"""The `pixseek` program: what the installed script and `python -m pixseek` run."""

from __future__ import annotations

from pixseek.cli import main
from pixseek.cli.process import leave, open_closed_streams


def run() -> None:
    """Run the command line, and end the process."""
    open_closed_streams()
    try:
        main(prog_name="pixseek")
    except SystemExit as end:
        leave(end)


if __name__ == "__main__":
    run()
