"""`pixseek export` and `import`: write vectors to files, and read vectors from elsewhere."""

from __future__ import annotations

import click

from pixseek.cli import wording
from pixseek.cli.hints import settings
from pixseek.cli.options import Command, open_library
from pixseek.cli.output import echo
from pixseek.cli.usage import check_writable

_SECTION = "Look after the library"


@click.command(
    cls=Command,
    section=_SECTION,
    short_help="Write ids, vectors and metadata to a file.",
    examples=(
        ("pixseek export photos.parquet", "for data frames; needs pyarrow"),
        ("pixseek export photos.npz", "for numpy"),
    ),
)
@click.argument("file", type=click.Path(dir_okay=False), metavar="FILE")
def export(file: str) -> None:
    """Write ids, vectors and metadata to FILE, a .parquet or .npz file; one row per vector."""
    check_writable(file, "FILE")
    with open_library() as library:
        rows = library.export(file)
    echo(f"Wrote {wording.counted(rows, 'row')} to {wording.visible(file)}.")


@click.command(
    "import",
    cls=Command,
    section=_SECTION,
    short_help="Read vectors that were computed elsewhere.",
    examples=(
        ("pixseek import photos.npz -L copy.lib", "a file of `pixseek export`"),
        ("pixseek import run/ -m clip-b32-openai -L new.lib", "a folder of clip-retrieval"),
        ("pixseek import v.npz --name our-clip --dim 512 -L new.lib", "its model is not here"),
    ),
)
@click.argument("path", type=click.Path(exists=True), metavar="PATH")
@click.option(
    "--base",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Folder that relative paths in PATH start from; it becomes a folder of the library.",
)
@click.option(
    "--name",
    default="",
    metavar="NAME",
    help="Name of the model that made the vectors, if the file names none. Its files need not be "
    "on this machine: ids, vectors and filters find images without them.",
)
@click.option(
    "--dim",
    type=click.IntRange(min=1),
    metavar="N",
    help="Refuse vectors that do not have N numbers.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace images that the library holds already. Without it they are kept as they are.",
)
@click.pass_context
def import_(
    ctx: click.Context, path: str, base: str | None, name: str, dim: int | None, replace: bool
) -> None:
    """Read vectors that were computed elsewhere with the library's model.

    PATH is a .parquet or .npz file with `uri` and vectors, as `pixseek export` writes it, or a
    folder that clip-retrieval inference wrote. A new library takes the model that the file names.
    If the file names none, give --model (which is loaded, and downloaded if needed) or --name
    (which is only a name): vectors of different models can't be compared, and without a name only
    their length can be checked.
    """
    if name and settings().get("model"):
        raise click.UsageError("Give --model or --name, not both.", ctx)
    with open_library(create=True) as library:
        kept: list[int] = []
        count = library.import_vectors(
            path, base=base, name=name, dim=dim or 0, replace=replace, on_kept=kept.append
        )
        held = len(library)
    images = wording.counted(held, "image")
    said = f"Imported {wording.counted(count, 'image')}; the library holds {images}."
    if kept:
        said += f" Kept {wording.counted(kept[0], 'image')} as before (--replace replaces them)."
    echo(wording.fitted(said))
