"""The address of a library on a server, read once for all stores: hosts, name, secrets, options.

    elasticsearch+https://me:secret@host:9200,other:9200/photos?shards=3&ca=/etc/ca.pem

The scheme names the engine and how it is reached. What stands behind the hosts names the library,
and options stand behind "?". A secret may be in the address, in a file that `password_file` or
`api_key_file` names, or in the environment (`PASSWORD`, `API_KEY`).
"""

from __future__ import annotations

import os
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixseek.engines import kept_texts, rules
from pixseek.errors import ConfigError, EngineError, LibraryFormatError, unknown
from pixseek.storage.errors import translated
from pixseek.types import Space
from pixseek.types.dataclass import dataclass

#: The variables that hold a secret of the address if the address has none.
PASSWORD = "PIXSEEK_ENGINE_PASSWORD"
API_KEY = "PIXSEEK_ENGINE_API_KEY"

_ENCODE = "Encode what is special in a user or password: / as %2F, @ as %40, : as %3A, # as %23."
#: What all servers accept as the name of a collection, and room for what a store appends.
_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"
#: What other programs may have called theirs, which are named with "?vector=".
_FOREIGN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,249}"

#: The lock of each library that this process writes, by its name.
_LOCKS: dict[str, threading.RLock] = {}

#: Turns the text of an option into its value; raises ValueError with what is expected.
Reading = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a library is.

    Attributes:
        engine: the scheme before the "+", such as "elasticsearch".
        secure: whether the server is reached by TLS.
        hosts: each with its port.
        name: of the library on the server.
        user: "" for none.
        password: "" for none.
        api_key: "" for none.
        options: by name, those that were given, read.
    """

    engine: str
    secure: bool
    hosts: tuple[tuple[str, int], ...]
    name: str
    user: str
    password: str
    api_key: str
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Remote({self.shown!r})"

    @property
    def shown(self) -> str:
        """The address without user, secrets and options, to name it in errors."""
        hosts = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.hosts)
        return f"{self.engine}+http{'s' * self.secure}://{hosts}/{self.name}"


def whole(least: int, most: int) -> Reading:
    """Return the reading of a whole number within limits."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"Write a whole number from {least} to {most}.")
        return int(text)

    return read


def one_of(*names: str) -> Reading:
    """Return the reading of one of some words."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(unknown("value", text, names))
        return text

    return read


def word(text: str) -> str:
    """Read a name that servers take: letters, digits, and ._- within."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,250}", text):
        raise ValueError("Write a name of letters, digits, '.', '_' and '-'.")
    return text


def seconds(text: str) -> float:
    """Read a positive number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < 1e6:
        raise ValueError("Write seconds, such as 30.")
    return number


def file(text: str) -> Path:
    """Read the path of a file that is there."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError("There is no such file.")
    return path


#: The options of every server.
_COMMON: Mapping[str, Reading] = {
    "timeout": seconds, "ca": file, "password_file": file, "api_key_file": file,
}  # fmt: skip


def read(url: str, port: int, options: Mapping[str, Reading]) -> Remote:
    """Return what an address says.

    Args:
        url: `ENGINE+http://...` or `ENGINE+https://...`.
        port: of hosts without one.
        options: those of the store, by name.

    Raises:
        ConfigError: it can't be understood; no error quotes a secret.
    """
    try:
        parsed = urllib.parse.urlsplit(url)
    except ValueError:  # it quotes the password
        raise ConfigError("The URL can't be understood", url, _ENCODE) from None
    engine, _, protocol = parsed.scheme.partition("+")
    userinfo, at, places = parsed.netloc.rpartition("@")
    hosts = tuple(_host(each, port) for each in places.split(","))
    if "@" in userinfo or (not at and "@" in parsed.path) or None in hosts or parsed.fragment:
        raise ConfigError("The URL can't be understood", url, _ENCODE)
    name = urllib.parse.unquote(parsed.path).strip("/")
    found = _options(parsed.query, {**_COMMON, **options})
    if not re.fullmatch(_FOREIGN_NAME if "vector" in found else _NAME, name):
        raise ConfigError(
            "not a name for a library on a server",
            name or url,
            f"Write it behind the host, {engine}+{protocol}://HOST/photos: "
            "small letters, digits, '.', '_' and '-', at most 100.",
        )
    user, _, password = map(urllib.parse.unquote, userinfo.partition(":"))
    return Remote(
        engine=engine,
        secure=protocol == "https",
        hosts=tuple(each for each in hosts if each is not None),
        name=name,
        user=user,
        password=password or _secret(found, "password_file", PASSWORD if user else ""),
        api_key="" if user else _secret(found, "api_key_file", API_KEY),
        options=found,
    )


def _host(text: str, port: int) -> tuple[str, int] | None:
    """Return host and port; None if that is not what the text is."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?", text)
    if found is None or int(found[3] or port) > 65_535:
        return None
    return found[1] or found[2], int(found[3] or port)


def _options(query: str, known: Mapping[str, Reading]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise ConfigError("unknown option of the engine", key, unknown("option", key, known))
        try:
            found[key] = known[key](value)
        except ValueError as error:
            raise ConfigError(
                "not a value for this option of the engine", f"{key}={value}", str(error)
            ) from None
    return found


def _secret(options: Mapping[str, Any], file: str, variable: str) -> str:
    """Return a secret from the file that an option names, or from the environment."""
    path: Path | None = options.get(file)
    if path is None:
        return os.environ.get(variable, "") if variable else ""
    try:
        with path.open("rb") as content:
            return content.read(1 << 16).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The file of the secret can't be read", path, getattr(error, "strerror", "") or "UTF-8?"
        ) from None


def distrust(subject: str, said: str) -> EngineError:
    """Return the error of a connection by TLS that was not made.

    Args:
        subject: the address, without secrets.
        said: what OpenSSL says.
    """
    # A server without TLS answers in plain text, which OpenSSL takes for another version of TLS.
    if re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG", said):
        return EngineError(
            "the server does not speak TLS on this port",
            subject,
            f"Name its port for TLS; if it has none, write +http:// instead of +https://. {said}",
        )
    return EngineError(
        "the server's certificate is not trusted",
        subject,
        f"For an authority of your own: ?ca=FILE.pem. {said}",
    )


def local_path(url: str, made: str = "") -> Path:
    """Return the place of a library in the local mode of a server's client.

    Args:
        url: `ENGINE+file:///PATH`.
        made: the name of a file that the client makes first in each of its folders. A folder that
            has others without it is somebody else's: the client would write into it.

    Raises:
        ConfigError: it names no place, or something else than a folder of the client.
        StorageError: the folder can't be read.
    """
    parsed = urllib.parse.urlsplit(url)
    path = urllib.parse.unquote(parsed.path)
    if parsed.netloc or parsed.query or parsed.fragment or not path.strip("/"):
        raise ConfigError(
            "not the place of a library on this machine",
            url,
            f"Write three slashes and the whole path: {parsed.scheme}:///home/me/photos. It has no "
            "options; # and ? in a path are written %23 and %3F.",
        )
    advice = "Name a new folder, or one that holds a library of pixseek."
    if Path(path).exists() and not Path(path).is_dir():
        raise ConfigError("not a folder", path, advice)
    if made and Path(path).is_dir():
        with translated(Path(path)):
            names = os.listdir(path)
        if made not in names and not all(each.startswith(".") for each in names):
            engine = parsed.scheme.partition("+")[0]
            raise ConfigError(f"not a folder of {engine}, and not empty", path, advice)
    return Path(path)


def check_authority(file: Path) -> None:
    """Check that a file holds the certificates of an authority.

    Raises:
        ConfigError: it does not, or can't be read.
    """
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:
        raise ConfigError(
            "The certificates of an authority can't be read",
            file,
            f"Name a PEM file. {error.strerror or error}",
        ) from None


# ------------------------------------------------------------------ libraries on servers


def writing(name: str) -> threading.RLock:
    """Return the lock under which this process writes a library."""
    return _LOCKS.setdefault(name, threading.RLock())


def active_first(
    active: Sequence[Space],
    others: Sequence[Space],
    subject: str,
    count: Callable[[Space], int],
    advice: str = "",
) -> list[Space]:
    """Return the spaces of a library, the active one first.

    Args:
        active: the active one, unless it is not there.
        others: all others.
        subject: the name of the library in errors.
        count: returns how many documents the collection of a space has.
        advice: how another can be made the active one by hand.

    Raises:
        EngineError: there is no active one, and others have documents: its collection was deleted
            by hand. Without documents a library is about to be made.
    """
    if not active:
        for each in others:
            if not rules.is_one(each, kept_texts.SPACE) and count(each):
                raise EngineError(
                    "the collection of the library's model was deleted on the server",
                    subject,
                    f"Restore it there. What is left is of {each.model}"
                    + (f": {advice}" if advice else ", and can be deleted, too, to index again."),
                )
    return [*active, *others]


def space_of(about: Mapping[str, Any], newest: int, subject: str) -> Space:
    """Return the space that an entry in a library's list of spaces is about.

    Args:
        about: its format, fingerprint, dimension and model.
        newest: the format that this pixseek writes.
        subject: the name of the library in errors.

    Raises:
        LibraryFormatError: a newer pixseek wrote it.
    """
    if about["format"] > newest:
        raise LibraryFormatError(
            "the library was written by a newer pixseek",
            subject,
            "Update pixseek: pip install -U pixseek",
        )
    return Space(about["fingerprint"], about["dim"], about["model"])


def not_ours(id_: object, place: str) -> EngineError:
    """Return the error about a document that another program wrote into a library."""
    return EngineError(
        "the library holds a document that pixseek did not write",
        f"{id_} in {place}",
        "Delete it there, and let other programs write elsewhere.",
    )


def refused(failed: Sequence[tuple[str, EngineError]], of: int) -> EngineError:
    """Return the error about records that a server did not take, with the first of the reasons."""
    id_, said = failed[0]
    return EngineError(
        f"the server refused {len(failed)} of {of} records; it has the others",
        id_ if len(id_) <= 100 else f"{id_[:100]}... ({len(id_.encode()):,} bytes)",
        f"{said.problem}. {said.advice}",
    )
