"""`pixseek vespa`: application packages for Vespa."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pixseek.cli import wording
from pixseek.cli.hints import quoted, settings
from pixseek.cli.options import Command, open_library, text_of, warn
from pixseek.cli.output import echo
from pixseek.errors import LibraryNotFoundError

if TYPE_CHECKING:
    from pixseek.library import Library
    from pixseek.library.vespa import Package


@click.command(
    cls=Command,
    section="Look after the library",
    hidden=True,  # docs/how-to/vespa.md has it, and the list of commands is full
    short_help="Write an application package for Vespa.",
    examples=(
        ("pixseek vespa app vespa-app", "for the library's models"),
        ("pixseek vespa app vespa-app --model clip-b32-openai", "for a model, before indexing"),
        (
            "pixseek vespa app vespa-app --model clip-b32-openai --model clip-l14-openai",
            "two models",
        ),
        ("pixseek vespa app vespa-app --type binary", "a 16th of the memory"),
        ("pixseek vespa app vespa-app --hosts v1,v2,v3 --redundancy 2", "three nodes"),
        ("pixseek vespa app vespa-app --cloud --token photos", "Vespa Cloud"),
    ),
)
@click.argument("action", type=click.Choice(("app",)), metavar="app")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("-m", "--model", "models", multiple=True, metavar="NAME|DIR",
              help="Model to make fields for, instead of the library's; may be given several "
              "times. Nothing is downloaded.")  # fmt: skip
@click.option("--name", default="images", show_default=True,
              help="Name of the document type, and of the library in the engine's "
              "address.")  # fmt: skip
@click.option("--type", "type_", type=click.Choice(("bfloat16", "float", "binary")),
              default="bfloat16", show_default=True,
              help="How vectors are stored: 2 or 4 bytes a number, or searched by one bit a number "
              "and scored again by bfloat16 from the disk.")  # fmt: skip
@click.option("--links", type=click.IntRange(2, 1024), default=16, show_default=True, metavar="N",
              help="Links of each node of the HNSW graph: max-links-per-node.")  # fmt: skip
@click.option("--explore", type=click.IntRange(1, 10_000), default=200, show_default=True,
              metavar="N", help="neighbors-to-explore-at-insert.")  # fmt: skip
@click.option("--nodes", type=click.IntRange(1, 1_000), metavar="N",
              help="Content nodes. Default: one that runs everything; on Vespa Cloud as many as "
              "copies.")  # fmt: skip
@click.option("--hosts", default="", metavar="HOST,...",
              help="Names of the nodes. Default: vespa1, vespa2 and so on.")  # fmt: skip
@click.option("--groups", type=click.IntRange(1, 100), default=1, metavar="N",
              help="Groups that each hold all images, for more searches a second.")  # fmt: skip
@click.option("--redundancy", type=click.IntRange(1, 100), metavar="N",
              help="Copies of each image in all. Default: 2 if there are several nodes, and one "
              "for each group.")  # fmt: skip
@click.option("--mtls", default="", metavar="DIR",
              help="Serve HTTPS to clients with certificates only: folder on Vespa's nodes with "
              "key.pem, cert.pem and ca.pem.")  # fmt: skip
@click.option("--cloud", is_flag=True, help="Write the package for Vespa Cloud.")
@click.option("--token", "tokens", multiple=True, metavar="NAME",
              help="Name of a token of Vespa Cloud that may read and write.")  # fmt: skip
@click.option("--client-certificate", type=click.File(encoding="utf-8"), metavar="FILE",
              help="PEM file of clients of Vespa Cloud that may read and write.")  # fmt: skip
@click.option("--embed-in-vespa", is_flag=True,
              help="Put the models' text towers into the package, so that Vespa embeds the words "
              "of queries.")  # fmt: skip
@click.pass_context
def vespa(
    ctx: click.Context,
    action: str,
    folder: Path,
    models: tuple[str, ...],
    name: str,
    type_: str,
    links: int,
    explore: int,
    nodes: int | None,
    hosts: str,
    groups: int,
    redundancy: int | None,
    mtls: str,
    cloud: bool,
    tokens: tuple[str, ...],
    client_certificate: TextIO | None,
    embed_in_vespa: bool,
) -> None:
    """Write an application package for Vespa into the folder DIR.

    It holds the schemas with all fields, rank profiles, services.xml, and a README with the
    commands to deploy it, to index into it and to search. Each model has fields of its own, so
    several can be compared side by side.

    The same command brings the package up to date, for instance with one more model. Files that
    were edited are not overwritten.
    """
    from pixseek.cli.waits import waits
    from pixseek.config import load_config
    from pixseek.library import vespa as packages

    names = tuple(filter(None, (each.strip() for each in hosts.split(","))))
    if nodes and names and nodes != len(names):
        raise click.UsageError(f"--nodes says {nodes}, and --hosts names {len(names)}.", ctx)
    if nodes and nodes > 1 and not (names or cloud):
        names = tuple(f"vespa{n}" for n in range(1, nodes + 1))
    copies = redundancy or max(groups, 2 if cloud or len(names) > 1 else 1)
    given = settings()
    asked = models or ((given["model"],) if "model" in given else ())

    def written(library: Library | None) -> Package:
        return packages.write(
            folder,
            load_config(**given),
            library=library,
            models=asked,
            embed=embed_in_vespa,
            on_download=waits().download,
            links=links,
            explore=explore,
            name=name,
            type=type_,
            hosts=names,
            groups=groups,
            redundancy=copies,
            nodes=nodes or copies,
            mtls=mtls,
            cloud=cloud,
            tokens=tokens,
            certificates=text_of(client_certificate) if client_certificate else "",
        )

    if asked:
        package = written(None)
    else:
        try:
            library = open_library()
        except LibraryNotFoundError as error:
            raise LibraryNotFoundError(
                error.problem, error.subject, "Without a library, name the models: --model NAME"
            ) from None
        with library:
            package = written(library)
    _write(package)


def _write(package: Package) -> None:
    place = wording.visible(str(package.folder))
    models = wording.counted(len(package.models), "model")
    echo(wording.fitted(f"Wrote {len(package.files)} files for {models}: {place}"))
    if package.dropped:
        warn(
            f"The package no longer has the fields of {', '.join(package.dropped)}. Once it is "
            "deployed, Vespa doesn't show their vectors any more; name those models too, to keep "
            "them."
        )
    if package.deploy:
        echo(f"Deploy it: {wording.visible(package.deploy)}")
        model = quoted(package.models[0])
        echo(f"Then: pixseek index FOLDER --engine {quoted(package.address)} --model {model}")
    else:
        echo(wording.fitted(f"How to deploy it is in {place}/README.md."))
