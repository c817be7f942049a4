"""Lets `python -m pixseek` do what `pixseek` does."""

from pixseek.cli import main

if __name__ == "__main__":
    main(prog_name="pixseek")
