"""The `pixseek` program: what the installed script and `python -m pixseek` run."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line, and end the process."""
    try:
        # Here, since imports are a third of a short command, and Ctrl-C may come during them.
        from pixseek.cli import main
        from pixseek.cli.output import guard
        from pixseek.cli.process import end_at_second_signal, leave, open_closed_streams

        open_closed_streams()
        end_at_second_signal()
        guard()  # also for the traceback of an error that ends the process
        try:
            main(prog_name="pixseek")
        except SystemExit as end:
            leave(end)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)  # noqa: T201  # click may be missing yet
        sys.exit(130)


if __name__ == "__main__":
    run()
