"""Application packages for Vespa: for the models of a library, or for models by name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pixseek import encoders
from pixseek.engines.vespa import application, schema, templates
from pixseek.engines.vespa.application import Application, Model
from pixseek.engines.vespa.schema import Hnsw, Slot
from pixseek.errors import ModelError
from pixseek.library.model_choice import ModelChoice, chosen
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.config import Config
    from pixseek.library.facade import Library
    from pixseek.types import Encoder

OnDownload = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Package:
    """An application package that was written.

    Attributes:
        folder: where it is.
        files: all that pixseek wrote, relative to the folder.
        models: the names of its models, in order.
        address: of the library on it, as far as it is known, for `--engine`.
        dropped: slots of models that the package had before; their vectors go when it is deployed.
        deploy: the command that deploys it on this machine; "" if more is needed, see its README.
    """

    folder: Path
    files: tuple[Path, ...]
    models: tuple[str, ...]
    address: str
    dropped: tuple[str, ...]
    deploy: str


class _Wanted(NamedTuple):
    """A model: its name to show, the length of its vectors, and what loads it."""

    name: str
    dim: int
    load: Callable[[], Encoder]


def write(
    folder: Path,
    config: Config,
    *,
    library: Library | None = None,
    models: Sequence[str] = (),
    embed: bool = False,
    on_download: OnDownload | None = None,
    links: int = Hnsw().links,
    explore: int = Hnsw().explore,
    **options: Any,
) -> Package:
    """Write an application package, or bring one up to date that pixseek wrote.

    Args:
        folder: where; a new or empty folder, or such a package.
        config: where models are kept.
        library: whose models it is for; None for those of `models`.
        models: their names; nothing is downloaded for them, unless `embed`. One that is named
            twice gets two sets of fields.
        embed: whether it holds the models' text towers, so that Vespa embeds texts of queries.
        on_download: called while models are downloaded for that.
        links: of each node of the graph of neighbours.
        explore: how many neighbours are looked at when a node is added to it.
        **options: any other attribute of `application.Application`.

    Raises:
        ConfigError: an option is not valid.
        EngineError: the folder holds something else, or files that were edited.
        ModelError: a model is unknown, or its text tower can't run in Vespa.
        StorageError: the folder can't be written.
    """
    wanted = (
        _held(library)
        if library is not None
        else [_named(each, config, on_download) for each in models]
    )
    taken: list[str] = []
    found = []
    for each in wanted:
        taken.append(schema.slot_name(each.name, taken))
        found.append(Model(each.name, Slot(taken[-1], each.dim)))
    made = Application(models=tuple(found), hnsw=Hnsw(links, explore), **options)

    def embedded(package: Path) -> Application:
        from pixseek.engines.vespa.text_tower import ID, embedder

        with_texts = list[Model]()
        for model, each in zip(found, wanted, strict=True):
            # The first keeps its name when more models join, since queries contain it.
            name = f"{ID}_{model.slot.name}" if with_texts else ID
            tower = embedder(each.load(), package, name)
            files = tuple(path.relative_to(package) for path in tower.files)
            with_texts.append(
                replace(model, component=tower.component, query=tower.query, files=files)
            )
        return replace(made, models=tuple(with_texts))

    before = application.slots_in(folder)
    files = application.write(folder, made, embedded if embed else None)
    return Package(
        folder,
        files,
        tuple(each.name for each in wanted),
        templates.engine_url(made),
        tuple(slot for slot in before if slot not in taken),
        "" if made.cloud or made.hosts else f"vespa deploy --wait 300 {shlex.quote(str(folder))}",
    )


def _named(name: str, config: Config, on_download: OnDownload | None) -> _Wanted:
    known = encoders.describe(name, config.models_dir)
    if not known.dim:
        raise ModelError(
            "the length of this model's vectors is not known before it is on this machine",
            known.name,
            f"Download it first: pixseek models download {known.name}",
        )
    return _Wanted(known.name, known.dim, lambda: ModelChoice(name).load(config, on_download))


def _held(library: Library) -> list[_Wanted]:
    """Return the models of a library's spaces, or the one that it will use if it has none."""
    opened = library.opened
    spaces = opened.engine.spaces()
    if not spaces:
        return [_named(library.model, opened.config, library.on_download)]
    found = [_Wanted(spaces[0].model, spaces[0].dim, library.encoder)]
    for space in spaces[1:]:
        choice = chosen(opened.ledger, space) or ModelChoice(space.model)
        load = partial(choice.load, opened.config, library.on_download)
        found.append(_Wanted(space.model, space.dim, load))
    return found
