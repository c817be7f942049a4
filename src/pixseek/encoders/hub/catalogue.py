"""Find a model by its name, or by the id of its repository on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from pixseek.encoders.hub.catalogue_rows import CATALOGUE, DEFAULT
from pixseek.encoders.hub.model import ANY, ANY_CLASSIFIER, Model, RemoteFile, Source

__all__ = [
    "ANY",
    "ANY_CLASSIFIER",
    "CATALOGUE",
    "DEFAULT",
    "Model",
    "RemoteFile",
    "Source",
    "find",
    "on_hub",
]


def find(name: str, models: Iterable[Model] | None = None) -> Model | None:
    """Return the model of a name; None if there is none.

    Args:
        name: an alias, or one with a runtime, as in "clip-b32-openai:torch".
        models: to search; None for `CATALOGUE`.
    """
    alias, _, runtime = name.partition(":")
    listed = CATALOGUE if models is None else models
    model = next((model for model in listed if model.alias == alias), None)
    if model is None or not runtime or (model.sources and model.source.runtime == runtime):
        return model
    sources = tuple(source for source in model.sources if source.runtime == runtime)
    return replace(model, alias=name, sources=sources) if sources else None


#: A repository on the hub, with its revision: "google/siglip2-base-patch16-256@main".
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w.-]+))?")


def on_hub(name: str, models: Iterable[Model] | None = None, layout: str = ANY) -> Model | None:
    """Return the model of a repository on the hub; None if the name can't be one.

    A repository that the catalogue lists gives the catalogue's model, with its pins and licence.
    Nothing is known of any other until the hub is asked.

    Args:
        name: OWNER/NAME, or OWNER/NAME@REVISION.
        models: the known ones; None for `CATALOGUE`.
        layout: for all others: `ANY` or `ANY_CLASSIFIER`.
    """
    found = _HUB_ID.fullmatch(name)
    if found is None:
        return None
    repo, revision = found[1], found[2] or ""
    listed = CATALOGUE if models is None else models
    for model in listed:
        for source in model.sources:
            if source.repo == repo and revision in ("", source.revision):
                first = source is model.source
                return model if first else find(f"{model.alias}:{source.runtime}", listed)
    return Model(
        alias=name,
        description=f"https://huggingface.co/{repo}",
        sources=(Source(repo, layout, revision),),
        licence="",
        dim=0,
        input_side=0,
        context=0,
        languages="",
    )
