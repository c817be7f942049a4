"""`pixseek serve`: put libraries behind a REST API and a page."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixseek.cli import hints, output, wording
from pixseek.cli.options import Command, open_library
from pixseek.errors import ConfigError, LibraryNotFoundError, MissingExtraError

if TYPE_CHECKING:
    import socket

    import uvicorn

    from pixseek.library import Library
    from pixseek.server.access import Access, Rights

#: Seconds that a stop waits for what was asked.
_GRACE_S = 30

#: Where tokens are looked for, with the rights they give.
_TOKENS = {"PIXSEEK_READ_TOKEN": "read", "PIXSEEK_WRITE_TOKEN": "write"}


@click.command(
    cls=Command,
    section="Index and search",
    short_help="Serve libraries: a search page and a REST API.",
    examples=(
        ("pixseek serve --open", "the default library, in the browser"),
        ("pixseek serve -L photos.lib --also shop.lib", "two libraries"),
        ("pixseek serve --host 0.0.0.0 --cert c.pem --key k.pem", "for others; needs a token"),
    ),
)
@click.option("--also", multiple=True, type=click.Path(file_okay=False), metavar="DIR",
              help="Another library to serve; may be repeated.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on. Others than this machine's own need a token and "
              "TLS.")  # fmt: skip
@click.option("--port", default=8642, show_default=True, type=click.IntRange(0, 65535),
              help="Port to listen on; 0 for any that is free.")  # fmt: skip
@click.option("--host-name", "names", multiple=True, metavar="NAME",
              help="A name under which the server is reached; may be repeated.")  # fmt: skip
@click.option("--cert", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Certificate for TLS, in PEM.")  # fmt: skip
@click.option("--key", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Its key, in PEM.")  # fmt: skip
@click.option("--insecure", is_flag=True,
              help="Listen to other machines without TLS: for a proxy that has it.")  # fmt: skip
@click.option("--read-only", is_flag=True, help="Refuse all changes.")
@click.option("--uploads", type=click.Path(file_okay=False), metavar="DIR",
              help="Folder for uploaded images, which are indexed. Made if it is missing. Default: "
              "none.")  # fmt: skip
@click.option("--folders", multiple=True, type=click.Path(exists=True, file_okay=False),
              metavar="DIR", help="Whoever may write may have this folder indexed, and those below "
              "it; may be repeated. Default: your home folder if only this machine can reach the "
              "server, else none.")  # fmt: skip
@click.option("--fetch-urls", is_flag=True,
              help="Let queries name an example by URL, which the server fetches.")  # fmt: skip
@click.option("--rate", default=50.0, show_default=True, type=click.FloatRange(0), metavar="N",
              help="Requests a second that one client may send, over 10 seconds; 0 for no "
              "limit.")  # fmt: skip
@click.option("--trusted-proxy", "proxies", multiple=True, metavar="ADDRESS",
              help="Address or network of a proxy, which says in X-Forwarded-For who asks; may be "
              "repeated.")  # fmt: skip
@click.option("--allow-origin", "origins", multiple=True, metavar="ORIGIN",
              help="Let pages of another site ask, such as https://example.org; may be "
              "repeated.")  # fmt: skip
@click.option("--prefix", default="", metavar="/PATH",
              help="Path under which a proxy shows the server.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def serve(
    also: tuple[str, ...],
    host: str,
    port: int,
    names: tuple[str, ...],
    cert: str | None,
    key: str | None,
    insecure: bool,
    read_only: bool,
    uploads: str | None,
    folders: tuple[str, ...],
    fetch_urls: bool,
    rate: float,
    proxies: tuple[str, ...],
    origins: tuple[str, ...],
    prefix: str,
    opens: bool,
) -> None:
    """Serve libraries on this machine: a search page, and a REST API with an OpenAPI document.

    Only this machine can reach it unless you name another address. That needs a token, in the
    environment: PIXSEEK_READ_TOKEN may search, PIXSEEK_WRITE_TOKEN may also tag, upload and index.
    """
    try:
        import uvicorn

        from pixseek.server import certificates, receiving
        from pixseek.server.access import Access, is_loopback
        from pixseek.server.app import create_app
        from pixseek.server.connections import Timely
        from pixseek.server.settings import Limits, Settings
    except ImportError as error:
        raise MissingExtraError("`pixseek serve`", str(error.name), "server") from error
    tokens = _tokens()
    _check(is_loopback(host), tokens, cert, key, insecure, prefix)
    _check_addresses(proxies, origins, names)
    if cert and key:
        certificates.check(cert, key)
    if uploads:
        receiving.check_folder(Path(uploads).absolute())
    is_alone = is_loopback(host) and not (proxies or prefix or names)
    access = Access.of(bound_to=host, names=names, tokens=tokens, read_only=read_only)
    libraries = _libraries(also)
    app = create_app(
        libraries,
        access=access,
        settings=Settings(
            limits=Limits(requests_a_second=rate),
            fetch_urls=fetch_urls,
            uploads=Path(uploads).absolute() if uploads else None,
            folders=_folders(folders, is_alone),
            prefix=prefix,
            origins=origins,
            is_encrypted=bool(cert),
        ),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            app, host=host, port=port, ssl_certfile=cert, ssl_keyfile=key,
            ws="none", log_level="error",  # else each odd request is a line in the log
            server_header=False, date_header=True, access_log=False,
            timeout_graceful_shutdown=_GRACE_S, http=Timely,
            proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies),
        )
    )  # fmt: skip
    ended = server.shutdown

    async def end(sockets: list[socket.socket] | None = None) -> None:
        app.stop_runs()
        await ended(sockets)

    server.shutdown = end  # type: ignore[method-assign]
    _run(server, host, names, prefix, access, libraries, opens=opens, is_encrypted=bool(cert))


def _tokens() -> dict[str, Rights]:
    """Return the rights of each token in the environment."""
    found: dict[str, Rights] = {}
    for variable, rights in _TOKENS.items():
        if token := os.environ.get(variable, "").strip():
            if token in found:
                raise ConfigError(
                    "The tokens for reading and writing are the same", "",
                    "Whoever may read could write. Set another PIXSEEK_READ_TOKEN.",
                )  # fmt: skip
            found[token] = rights  # type: ignore[assignment]
    return found


def _check(
    is_for_this_machine: bool,
    tokens: dict[str, Rights],
    cert: str | None,
    key: str | None,
    insecure: bool,
    prefix: str,
) -> None:
    """Check that options belong together.

    Raises:
        click.UsageError: they don't.
        ConfigError: others could read or change the library, or read what is sent.
    """
    if bool(cert) != bool(key):
        raise click.UsageError("--cert and --key belong together.")
    if not re.fullmatch(r"(/[\w.~-]+)*", prefix, re.ASCII):
        raise click.UsageError("--prefix begins with a slash and does not end with one: /photos")
    if is_for_this_machine:
        return
    if not tokens:
        raise ConfigError(
            "Other machines could reach this server, and no token is set", "",
            "Put a secret one into PIXSEEK_WRITE_TOKEN. To make one: openssl rand -hex 24",
        )  # fmt: skip
    if not cert and not insecure:
        raise ConfigError(
            "Other machines could reach this server, and what is sent is not encrypted", "",
            "Give --cert and --key; or --insecure if a proxy before it has TLS.",
        )  # fmt: skip


def _check_addresses(
    proxies: tuple[str, ...], origins: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Check addresses of proxies, origins of pages, and names of the server.

    Raises:
        click.UsageError: one is none.
    """
    import ipaddress

    for each in names:
        if not re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:]+\]", each, re.ASCII):
            raise click.UsageError(
                f"--host-name {each}: not a name, such as photos.example.org, without a port."
            )

    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise click.UsageError(
                f"--trusted-proxy {each}: not an address or network, such as 127.0.0.1 or "
                "172.16.0.0/12."
            ) from error
    for each in origins:
        if not re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", each):
            raise click.UsageError(
                f"--allow-origin {each}: not an origin, such as https://example.org, in lower "
                "case and without a path."
            )


def _folders(given: tuple[str, ...], is_for_this_machine: bool) -> tuple[Path, ...]:
    """Return the folders that may be indexed from the page."""
    if given or not is_for_this_machine:
        return tuple(Path(each).absolute() for each in given)
    try:
        return (Path.home(),)
    except RuntimeError:  # there is none
        return ()


def _libraries(also: tuple[str, ...]) -> dict[str, Library]:
    """Return the libraries to serve by name, open; the default first."""
    opened: dict[str, Library] = {}
    try:
        for folder in (None, *also):
            named: dict[str, Any] = {} if folder is None else {"library": folder}
            # A server never fetches from private networks for others, whatever its settings say.
            try:
                library = open_library(allow_private=False, **named)
            except LibraryNotFoundError as error:
                if folder is None:
                    raise
                raise LibraryNotFoundError(
                    error.problem, error.subject,
                    "Each --also names a library that exists. To create this one: "
                    f"pixseek index ~/Pictures --library {hints.quoted(folder)}",
                ) from error  # fmt: skip
            library.on_wait = library.on_download = None
            if any(library.path == each.path for each in opened.values()):
                library.close()  # it was named twice
                continue
            opened[_name_of(library, opened)] = library
    except BaseException:
        for library in opened.values():
            library.close()
        raise
    return opened


def _name_of(library: Library, taken: dict[str, Library]) -> str:
    """Return the name of a library: that of its folder, or of the folder that it lies in."""
    folder = library.path
    name = folder.parent.name if folder.name.startswith(".") else folder.stem
    name, number = name or "library", 2
    while name in taken:
        name = f"{name.rstrip('0123456789-')}-{number}"
        number += 1
    return name


def _run(
    server: uvicorn.Server,
    host: str,
    names: tuple[str, ...],
    prefix: str,
    access: Access,
    libraries: dict[str, Library],
    *,
    opens: bool,
    is_encrypted: bool,
) -> None:
    """Listen, say where, and serve until Ctrl-C or SIGTERM."""
    listening = _listening(host, server.config.port)
    address = _address(listening.getsockname()[1], host, names, is_encrypted) + f"{prefix}/"
    images = ", ".join(
        f"{wording.visible(name)} ({wording.counted(len(library), 'image')})"
        for name, library in libraries.items()
    )
    output.echo(f"Serving {images} at {output.styled(address, bold=True)}")
    rights = "a token is needed" if access.needs_token else "only this machine can reach it"
    output.echo(f"{rights[0].upper()}{rights[1:]}. Press Ctrl-C to stop.")
    sys.stdout.flush()
    if opens:
        import webbrowser

        webbrowser.open(address)
    # uvicorn sends itself the signal again when it has ended, and a second signal ends a process of
    # ours at once.
    server.capture_signals = partial(_ended_by_signal, server)  # type: ignore[method-assign]
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
    output.echo("Stopped.")


def _address(port: int, host: str, names: tuple[str, ...], is_encrypted: bool) -> str:
    """Return where the server is reached, as an origin."""
    if host == "127.0.0.1":
        name = "localhost"
    elif host in ("0.0.0.0", "::"):
        name = names[0] if names else "localhost"
    else:
        name = f"[{host}]" if ":" in host else host
    scheme, usual = ("https", 443) if is_encrypted else ("http", 80)
    return f"{scheme}://{name}" + (f":{port}" if port != usual else "")


@contextmanager
def _ended_by_signal(server: uvicorn.Server) -> Iterator[None]:
    """End a server at Ctrl-C or SIGTERM inside the block; what it was asked is answered.

    A second signal ends the process at once, here too: uvloop takes the pipe by which
    `process.end_at_second_signal` would see it.
    """

    def end(number: int, _: object) -> None:
        if server.should_exit:
            os._exit(128 + number)
        server.should_exit = True

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket on which the server listens from now on.

    Raises:
        ConfigError: the address can't be used.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only if the protocol is named; otherwise each answer waits
    # for the client's delayed acknowledgement, 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        advice = {
            errno.EADDRINUSE: "Choose another --port, or 0 for any that is free.",
            errno.EACCES: "Choose a --port from 1024 up.",
        }.get(error.errno or 0, "--host is an address of this machine, or 0.0.0.0 for all.")
        raise ConfigError(
            f"The server can't listen here ({error.strerror or error})", f"{host}:{port}", advice
        ) from error
    return listening
