"""The files of a Vespa application package for some spaces, from the data of `schema`.

Everything is written by templates: schemas, services.xml, hosts.xml, a query profile, a README with
the commands to deploy it, and `pixseek.json`, which says what the package was made of and which
files pixseek wrote. So a package can be written again, and a file that somebody has edited is never
overwritten.

Whatever is put into the files was checked: names are identifiers, hosts are names or addresses,
paths are escaped for XML.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pixseek.engines.vespa import schema, templates
from pixseek.engines.vespa.schema import Hnsw, Slot, VectorType
from pixseek.errors import ConfigError, EngineError, StorageError
from pixseek.types.dataclass import dataclass

#: In each package: what it was made of, and the SHA-256 of each file that pixseek wrote.
RECIPE = "pixseek.json"
#: Where Vespa Cloud looks for the certificates of those who may read and write.
CLIENTS = "security/clients.pem"

_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_TOKEN = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose vectors the application holds.

    Attributes:
        name: to show.
        slot: its fields.
        component: the component of services.xml that embeds texts with it, as XML; "" for none.
        query: what gives a query the vector of its parameter `text` by that component.
        files: what that component reads, relative to the package.
    """

    name: str
    slot: Slot
    component: str = ""
    query: str = ""
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Application:
    """What a package is made of.

    Attributes:
        name: of the document type, and of the library in the engine's address.
        models: one or more, with distinct slots.
        type: how vectors are stored and searched.
        hnsw: the graph of neighbours.
        hosts: names of the nodes; one node without a name runs everything.
        groups: into how many groups the content nodes are divided, each of which holds everything.
        redundancy: how many copies of each document there are in all.
        mtls: folder on the nodes with key.pem, cert.pem and ca.pem; "" for plain HTTP.
        cloud: whether it is for Vespa Cloud, which has no hosts of one's own.
        tokens: names of tokens of Vespa Cloud that may read and write.
        certificates: PEM of clients of Vespa Cloud that may read and write; "" for none.
        nodes: how many content nodes Vespa Cloud is asked for.
    """

    name: str
    models: tuple[Model, ...]
    type: VectorType = "bfloat16"
    hnsw: Hnsw = Hnsw()
    hosts: tuple[str, ...] = ()
    groups: int = 1
    redundancy: int = 1
    mtls: str = ""
    cloud: bool = False
    tokens: tuple[str, ...] = ()
    certificates: str = ""
    nodes: int = 1


def check(application: Application) -> None:
    """Check that an application can be written.

    Raises:
        ConfigError: a name, a host or a number is not valid, or two options contradict each other.
    """
    one = application
    if not one.models:
        raise ConfigError("no model is named", advice="Vespa needs a field for vectors: --model")
    if not schema.is_name(one.name):
        raise ConfigError(
            "not a name for a document type of Vespa",
            one.name,
            schema.NAMES,
        )
    for host in one.hosts:
        if not re.fullmatch(_HOST, host):
            raise ConfigError("not the name of a host", host, "Write names such as vespa1.local.")
    if len(set(one.hosts)) != len(one.hosts):
        raise ConfigError("a host is named twice", ", ".join(one.hosts), "Name each node once.")
    for token in one.tokens:
        if not re.fullmatch(_TOKEN, token):
            raise ConfigError(
                "not the name of a token",
                token,
                "Give the name that Vespa Cloud's console shows, never the token itself.",
            )
    if one.certificates and "-----BEGIN CERTIFICATE-----" not in one.certificates:
        raise ConfigError("not a certificate", CLIENTS, "Name a PEM file with certificates.")
    if "PRIVATE KEY" in one.certificates:
        raise ConfigError(
            "a private key does not belong into the package", CLIENTS, "Give the certificate only."
        )
    if one.mtls and not re.fullmatch(r"/[^\x00-\x1f]*", one.mtls):
        raise ConfigError("not a folder on Vespa's nodes", one.mtls, "Write its whole path.")
    if one.cloud and (one.hosts or one.mtls):
        raise ConfigError(
            "Vespa Cloud has no hosts and no certificates of your own on its nodes",
            "--cloud",
            "Leave out hosts and --mtls; --client-certificate names who may connect.",
        )
    if not one.cloud and (one.tokens or one.certificates):
        raise ConfigError(
            "tokens and certificates of clients are for Vespa Cloud",
            ", ".join(one.tokens),
            "Give --cloud as well, or --mtls for servers of your own.",
        )
    _check_copies(one)


def _check_copies(one: Application) -> None:
    nodes = content_nodes(one)
    if nodes % one.groups:
        raise ConfigError(
            "the nodes can't be divided into groups of the same size",
            f"{nodes} nodes, {one.groups} groups",
            "Choose a number of groups that divides the number of nodes.",
        )
    if one.redundancy % one.groups:
        raise ConfigError(
            "each group holds as many copies as the others",
            f"{one.redundancy} copies in {one.groups} groups",
            "Choose a redundancy that is a multiple of the number of groups.",
        )
    if one.redundancy > nodes:
        raise ConfigError(
            "there are fewer nodes than copies",
            f"{one.redundancy} copies on {nodes} {'node' if nodes == 1 else 'nodes'}",
            "Add nodes, or lower the redundancy.",
        )


def content_nodes(application: Application) -> int:
    """Return how many content nodes there are."""
    return application.nodes if application.cloud else max(1, len(application.hosts))


# ------------------------------------------------------------------ writing


def write(
    folder: Path, application: Application, embed: Callable[[Path], Application] | None = None
) -> tuple[Path, ...]:
    """Write a package; return its files, relative to the folder.

    A package that pixseek wrote before is brought up to date. Files of others in it stay.

    Args:
        folder: is made if it is not there.
        application: what to write.
        embed: called with an empty folder once the package can be written; writes files of
            components into it, and returns the application with them.

    Raises:
        ConfigError: the application is not valid.
        EngineError: the folder holds something else, or files that were edited.
        StorageError: the folder can't be written.
    """
    check(application)
    written = _recipe(folder).files
    _check_ours(folder, written, dict(files(application)))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Next to the package, so that a failure leaves it as it was.
        with tempfile.TemporaryDirectory(prefix=".pixseek-", dir=folder.parent) as beside:
            if embed is not None:
                application = embed(Path(beside))
            moved = [path.as_posix() for model in application.models for path in model.files]
            made = dict(files(application))
            _check_ours(folder, written, moved)
            folder.mkdir(exist_ok=True)
            for name in set(written) - set(made) - set(moved):
                (folder / name).unlink(missing_ok=True)
            for name, text in made.items():
                path = Path(beside, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
            digests = {name: _digest(Path(beside, name)) for name in (*made, *moved)}
            recipe = json.dumps({**about(application), "files": digests}, indent=2) + "\n"
            Path(beside, RECIPE).write_text(recipe, encoding="utf-8", newline="\n")
            for name in (*digests, RECIPE):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(beside, name), folder / name)
    except OSError as error:
        raise StorageError(
            "the package can't be written", folder, error.strerror or str(error)
        ) from error
    return tuple(Path(name) for name in sorted((*digests, RECIPE)))


def slots_in(folder: Path) -> tuple[str, ...]:
    """Return the slots of the package in a folder; none if there is no package of pixseek."""
    try:
        return _recipe(folder).slots
    except EngineError:
        return ()


class _Recipe(NamedTuple):
    """What is known of a package: the digest of each file that pixseek wrote, and its slots."""

    files: dict[str, str]
    slots: tuple[str, ...]


def _recipe(folder: Path) -> _Recipe:
    """Return what is known of the package in a folder; nothing if the folder is new or empty.

    Raises:
        EngineError: the folder holds something, and pixseek did not write it.
    """
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return _Recipe({}, ())
        said = json.loads((folder / RECIPE).read_bytes())
        found = _Recipe(said["files"], tuple(each["slot"] for each in said["models"]))
        inside = all(
            not Path(name).is_absolute() and ".." not in Path(name).parts for name in found.files
        )
        if inside and all(isinstance(each, str) for each in (*found.files.values(), *found.slots)):
            return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise EngineError(
        "the folder is not empty, and holds no application package of pixseek",
        folder,
        "Name a new folder.",
    )


def _check_ours(folder: Path, written: Mapping[str, str], names: Iterable[str]) -> None:
    """Check that files may be replaced: those that pixseek wrote, and `names`."""
    for name in {**written, **dict.fromkeys(names)}:
        path = folder / name
        # The last of its parents is the package itself, which may be a link.
        links = [path, *(folder / parent for parent in list(Path(name).parents)[:-1])]
        is_there = os.path.lexists(path)
        same = is_there and path.is_file() and _digest(path) == written.get(name)
        if any(map(os.path.islink, links)) or (is_there and not same):
            raise EngineError(
                "the file was changed since pixseek wrote it"
                if name in written
                else "this file is not from pixseek, and would be replaced",
                path,
                "Write into a new folder and carry your change over, or move the file away.",
            )


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def about(application: Application) -> dict[str, object]:
    """Return what an application is made of, as JSON."""
    one = application
    return {
        "made_by": "pixseek vespa app",
        "format": schema.FORMAT,
        "name": one.name,
        "type": one.type,
        "models": [
            {"name": each.name, "slot": each.slot.name, "dim": each.slot.dim} for each in one.models
        ],
    }


def files(application: Application) -> Iterator[tuple[str, str]]:
    """Yield the files of a package by name, except `RECIPE` and models."""
    one, library = application, schema.library_of(application.name)
    yield f"schemas/{one.name}.sd", templates.images_schema(one)
    yield f"schemas/{library}.sd", templates.library_schema(library)
    yield "search/query-profiles/default.xml", templates.QUERY_PROFILE
    yield "services.xml", templates.services(one)
    if one.hosts:
        yield "hosts.xml", templates.hosts_file(one)
    if one.certificates:
        yield CLIENTS, one.certificates
    yield "README.md", templates.readme(one)
