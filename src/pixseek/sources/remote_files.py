"""Files in buckets and on other servers, through fsspec: listed, read by ranges, opened.

Whom to sign in as is what the provider's own tools say (environment, profiles, keys): nothing of
it is part of an address, and so of a record. Errors of a dozen packages become those of the system.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import posixpath
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from pixseek import files
from pixseek.errors import MissingExtraError, SourceError
from pixseek.redaction import redacted
from pixseek.sources.remote_faults import chain, fault
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.sources.remote_listing import Unlisted

#: Tries of one request, and seconds before the second on average; each further waits twice as long.
#: Clients of buckets try by themselves, too, but not after a timeout.
TRIES, BACKOFF_S = 3, 0.4
#: Maximum seconds to connect, and without a byte.
CONNECT_S, SILENCE_S = 10, 20
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Service:
    """What speaks a scheme.

    Attributes:
        package: that has to be installed.
        extra: of pixseek, that installs it.
        signing_in: how to say whom to sign in as.
    """

    package: str
    extra: str
    signing_in: str


_S3 = Service("s3fs", "s3", "Sign in as for the AWS command line: AWS_PROFILE, or `aws configure`.")
_GS = Service("gcsfs", "gs", "Sign in: gcloud auth application-default login, or set "
              "GOOGLE_APPLICATION_CREDENTIALS.")  # fmt: skip
_AZ = Service("adlfs", "azure", "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME"
              " with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN.")  # fmt: skip
_SSH = Service("paramiko", "sftp", "Sign in once by ssh, with a key or an agent: the server has to "
               "be in ~/.ssh/known_hosts, and may be in ~/.ssh/config.")  # fmt: skip
_HF = Service("huggingface_hub", "hf", "Sign in: hf auth login, or set HF_TOKEN.")
_WEB = Service("aiohttp", "remote", "Its server asks for a password, which is not supported.")

#: What is read through fsspec, by the scheme of its addresses.
SERVICES: Mapping[str, Service] = {
    "s3": _S3, "s3a": _S3, "gs": _GS, "gcs": _GS, "az": _AZ, "abfs": _AZ, "abfss": _AZ,
    "sftp": _SSH, "ssh": _SSH, "hf": _HF, "http": _WEB, "https": _WEB,
    "memory": Service("fsspec", "remote", ""),
}  # fmt: skip


@dataclass(slots=True)
class Network:
    """What may be connected to; see `Remote.permit`."""

    private: bool = False
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, as a listing has it.

    Attributes:
        path: from the place that was listed.
        size: in bytes; -1 when the listing does not say.
        modified_ns: when it was changed, in nanoseconds since 1970; 0 when unknown.
        version: a text that is equal only while the content is: a checksum or an ETag if the
            server has one, else of size and time; "" when the listing says nothing.
    """

    path: str
    size: int
    modified_ns: int
    version: str


def scheme_of(address: str) -> str:
    """Return the scheme of an address, in lower case; "" for a path."""
    scheme, there, _ = address.partition("://")
    return scheme.lower() if there else ""


class RemoteFiles:
    """The files below an address; its methods may be called from several threads.

    Attributes:
        address: of the place, without a slash at its end.
        service: what it is.
    """

    def __init__(self, address: str, network: Network) -> None:
        """Name the place; nothing is connected yet.

        Raises:
            SourceError: the address has a password or another secret in it.
        """
        check(address)
        self.address, self.network = address.rstrip("/"), network
        self.scheme = scheme_of(address)
        self.service = SERVICES[self.scheme]
        self._lock = threading.Lock()
        self._made: Any = None
        self._place: str | None = None
        self._is_anonymous = False
        self._closed = threading.Event()
        # Reads by several threads over one connection of paramiko 5.1 did not end in the tests.
        self._turns = threading.Lock() if self.service is _SSH else contextlib.nullcontext()

    def close(self) -> None:
        """Let calls that wait for another try give up."""
        self._closed.set()

    # ---------------------------------------------------------------- what is there

    @property
    def has_pages(self) -> bool:
        """Whether listings come in parts, so that the first costs little."""
        return self.service not in (_AZ, _HF)

    def pages(self, below: str = "") -> Iterator[list[Entry] | Unlisted]:
        """Yield all files, in groups: of a folder next to each other, as far as the server allows.

        Args:
            below: a folder of the place; "" for all of it.

        Raises:
            OSError: it can't be listed.
        """
        from pixseek.sources import remote_listing

        self._closed.clear()
        yield from remote_listing.pages(self, below.strip("/"))

    def names(self) -> list[str]:
        """Return the names of the files that lie in the place itself.

        Raises:
            OSError: it can't be listed.
        """
        return [each.path for each in self.files_in("")]

    @property
    def has_folders(self) -> bool:
        """Whether folders are there by themselves: one that is not there is an error, not empty."""
        return self.service not in (_S3, _GS, _AZ, _HF)

    def files_in(self, folder: str) -> list[Entry]:
        """Return the files that lie in a folder itself.

        Raises:
            OSError: it can't be listed.
        """
        from pixseek.sources import remote_listing

        def listed(fs: Any) -> list[Mapping[str, Any]]:
            fs.invalidate_cache()  # that of Hugging Face can't be switched off
            return [each for each in fs.ls(self.folder(folder), detail=True)
                    if each["type"] == "file"]  # fmt: skip

        found = remote_listing.entries(self, self.call(listed))
        return [each for each in found if posixpath.dirname(each.path) == folder]

    def info(self, path: str = "") -> Entry:
        """Return what is known of one file; "" for what the address itself names.

        Raises:
            OSError: it is not there, or can't be looked at.
        """
        found = self.call(lambda fs: fs.info(self.full(path)))
        if found["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "it is a folder", self.shown(path))
        return self.entry(found, path)

    def read(self, path: str, most: int) -> bytes:
        """Return the content of a file.

        Raises:
            TooLargeError: it has more than `most` bytes.
            OSError: it can't be read.
        """
        # One more byte than allowed: what the listing said may no longer be so.
        content = self.call(lambda fs: self._content(fs, path, most))
        if len(content) > most:
            raise files.TooLargeError(
                errno.EFBIG, f"it has more than {most:,} bytes", self.shown(path)
            )
        return content

    def range(self, path: str, begin: int, end: int) -> bytes:
        """Return the bytes of a file from `begin` up to `end`, or as many as it has.

        Raises:
            OSError: it can't be read.
        """
        found = self.call(lambda fs: self._part(fs, path, begin, end))
        if len(found) > end - begin:  # a server on the web that knows no ranges sends all of it
            raise OSError(errno.EOPNOTSUPP, "its server does not send parts of files",
                          self.shown(path))  # fmt: skip
        return found

    def _part(self, fs: Any, path: str, begin: int, end: int) -> bytes:
        if self.service is _WEB:
            # As a stream, whose rest is not read: fsspec would hold all that a server sends.
            asked = {"Range": f"bytes={begin}-{end - 1}"}
            with fs.open(self.full(path), block_size=0, size=1, headers=asked) as file:
                return _up_to(file, end - begin + 1)
        # That of Hugging Face reads 5 MB more, ahead.
        how = {"cache_type": "none"} if self.service is _HF else {}
        return bytes(fs.cat_file(self.full(path), start=begin, end=end, **how))

    def _content(self, fs: Any, path: str, most: int) -> bytes:
        if self.service is _WEB:
            # Not by a range: not every server knows those.
            with fs.open(self.full(path), block_size=0) as file:
                return _up_to(file, most + 1)
        return bytes(fs.cat_file(self.full(path)))

    # ---------------------------------------------------------------- addresses

    def folder(self, path: str = "") -> str:
        """Return the path or URL by which the file system lists a folder."""
        full = self.full(path)
        return f"{full.rstrip('/')}/" if self.service is _WEB else full

    def full(self, path: str = "") -> str:
        """Return the path or URL by which the file system knows a file."""
        if self.service is _WEB:
            # The address may be typed with spaces, or as a browser shows it.
            place = quote(self.address, safe="%:/@[]!$&'()*+,;=~")
            return f"{place}/{quote(path)}"
        root = self._root()
        return f"{root}/{path}" if path and root else path or root

    def relative(self, full: str) -> str | None:
        """Return the path below the place that the file system's name for a file has.

        None (on the web also for the place itself) if it does not lie below it.
        """
        if self.service is _WEB:
            if "?" in full or "#" in full:
                return None
            # Links lead anywhere: "../2023/", "./a.jpg", or to the same host by another scheme.
            (host, path), (own, top) = _host_and_path(full), _host_and_path(self.full())
            top = f"{top.rstrip('/')}/"
            return path[len(top) :] if host == own and path.startswith(top) else None
        root = self._root().strip("/")
        full = full.strip("/")
        if root and not full.startswith(f"{root}/"):
            return None
        return full[len(root) :].strip("/")

    def shown(self, path: str = "") -> str:
        """Return the address of a file as people read it."""
        return redacted(f"{self.address}/{path}" if path else self.address)

    def _root(self) -> str:
        if self._place is None:
            self._place = cast("str", type(self.fs())._strip_protocol(self.address)).rstrip("/")
        return self._place

    def entry(self, found: Mapping[str, Any], path: str) -> Entry:
        """Return an entry of what a file system says of a file."""
        changed = next((found[key] for key in _TIMES if found.get(key)), None)
        mark = next((str(found[key]) for key in _MARKS if found.get(key)), "")
        lfs, settings = found.get("lfs"), found.get("content_settings")
        if lfs is not None:
            mark = str(lfs["sha256"] if isinstance(lfs, Mapping) else lfs)
        if isinstance(settings, Mapping) and settings.get("content_md5"):
            mark = bytes(settings["content_md5"]).hex()
        size = found.get("size")
        size, modified_ns = -1 if size is None else int(size), _time_of(changed)
        if not mark and (size >= 0 and modified_ns):
            mark = f"{size}-{modified_ns}"
        return Entry(path, size, modified_ns, mark)

    # ---------------------------------------------------------------- calls

    def fs(self) -> Any:
        """Return the file system, made at the first call.

        Raises:
            MissingExtraError: the package for it is not installed.
            OSError: it can't be connected to.
        """
        with self._lock:
            if self._made is None:
                self._made = self._new()
            return self._made

    def call(self, request: Callable[[Any], _Result]) -> _Result:
        """Return what a request returns, tried again after a fault that may pass.

        Raises:
            OSError: it failed.
        """
        for attempt in range(1, TRIES + 1):
            fs = None
            try:
                with self._turns:
                    fs = self.fs()
                    return request(fs)
            except MissingExtraError:
                raise
            except Exception as error:
                if self._become_anonymous(error, fs):
                    continue
                found, may_pass = fault(error, self.shown())
                if self._is_anonymous and isinstance(found, PermissionError):
                    found.strerror = "this machine does not sign in"
                if not may_pass or attempt == TRIES:
                    raise found from error
                if self.service is _SSH:
                    self._disconnect(fs)
            if self._closed.wait(BACKOFF_S * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)):
                break
        raise OSError(errno.EINTR, "the run was stopped", self.shown())

    def _disconnect(self, fs: Any) -> None:
        """Let the next call connect again: paramiko itself never does."""
        with self._turns, self._lock:
            if fs is None or self._made is not fs:
                return
            self._made = None
            with contextlib.suppress(Exception):
                fs.client.close()

    def _become_anonymous(self, error: Exception, fs: Any) -> bool:
        """Look at a bucket without signing in, if this machine has nothing to sign in with.

        Returns:
            Whether the call is to be tried again, with the file system of now.
        """
        if self.service is not _S3:
            return False
        if "NoCredentialsError" not in {type(each).__name__ for each in chain(error)}:
            return False
        with self._lock:
            if self._made is not fs:  # another thread has done so
                return True
            if self._is_anonymous:
                return False
            self._is_anonymous, self._made = True, None
        return True

    def _new(self) -> Any:
        if self.network.offline:
            raise ConnectionError(errno.ENETDOWN, "it can't be read offline", self.shown())
        try:
            importlib.import_module(self.service.package)
            import fsspec
        except ImportError as error:
            raise MissingExtraError(
                f"Reading {self.scheme}://", self.service.package, self.service.extra
            ) from error
        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
        if self.service is _S3:
            theirs = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
            limits = {"connect_timeout": CONNECT_S, "read_timeout": SILENCE_S,
                      "retries": {"max_attempts": 1}, "max_pool_connections": 64}  # fmt: skip
            options["config_kwargs"] = {**limits, **theirs}
            options["max_concurrency"] = 1  # else each file is asked for its size first
            if self._is_anonymous:
                options["anon"] = True
        elif self.service is _GS:
            # Not fsspec's choice, which asks for the kind of bucket by gRPC first, and waits a
            # minute where nothing answers that (gcsfs 2026.10). Here all goes by the JSON API.
            from gcsfs.core import GCSFileSystem

            return GCSFileSystem(**options)
        elif self.service is _SSH:
            from pixseek.sources.remote_connections import over_ssh

            parts = urlsplit(self.address)
            return over_ssh(parts.hostname or "", parts.port, parts.username)
        elif self.service is _WEB:
            from pixseek.sources.remote_connections import guarded_client

            options["get_client"] = guarded_client(allow_private=self.network.private)
            options["encoded"] = True
        elif self.service is _HF:
            del options["use_listings_cache"]  # it can't do without
        elif self.service is _AZ:
            options |= _account_of(self.address)
        protocol = "s3" if self.service is _S3 else self.scheme
        return fsspec.filesystem(protocol, **options)


def check(address: str) -> None:
    """Look whether an address is one without secrets: it becomes part of the library.

    Raises:
        SourceError: it has a password, a token or parameters.
    """
    scheme, parts = scheme_of(address), urlsplit(address)
    if parts.password is not None or (parts.username and scheme not in _WITH_USER):
        raise SourceError(
            "The address has a password or a key in it", redacted(address),
            f"Leave it out: the library keeps the address. {SERVICES[scheme].signing_in}",
        )  # fmt: skip
    if parts.query:
        raise SourceError(
            "The address has parameters, which may be secret", address.partition("?")[0],
            f"Leave out what follows the question mark. {SERVICES[scheme].signing_in}",
        )  # fmt: skip


#: Where the part before "@" names a user or a container.
_WITH_USER = ("sftp", "ssh", "az", "abfs", "abfss", "hf")

#: What file systems say of a file, the first of which counts: checksums, then names of a version.
_MARKS = ("md5Hash", "md5", "crc32c", "ETag", "etag", "Content-MD5", "blob_id", "oid",
          "generation", "Last-Modified")  # fmt: skip
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


def _time_of(value: Any) -> int:
    """Return nanoseconds since 1970 of a time in any form; 0 for none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return 0
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if not isinstance(value, int | float) or not 0 < value < 1 << 33:
        return 0
    return int(value * 1_000_000) * 1_000


def _account_of(address: str) -> dict[str, str]:
    """Return the account of Azure that an address names: abfs://CONTAINER@ACCOUNT.dfs.core..."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    account, _, rest = host.partition(".")
    return {"account_name": account} if "@" in address and ".core." in f".{rest}" else {}


def _host_and_path(url: str) -> tuple[str, str]:
    """Return the host of an address of the web and its path, without ".." and "." in it."""
    host, _, path = url.partition("://")[2].partition("/")
    return host.lower(), posixpath.normpath(f"/{unquote(path).lstrip('/')}")


def _up_to(file: Any, count: int) -> bytes:
    parts: list[bytes] = []
    while (left := count - sum(map(len, parts))) > 0 and (part := file.read(min(left, 1 << 20))):
        parts.append(part)
    return b"".join(parts)


def folder_and_name(address: str) -> tuple[str, str]:
    """Return the address of the folder that a file lies in, and its name."""
    scheme, _, rest = address.partition("://")
    folder, name = posixpath.split(rest)
    return f"{scheme}://{folder}", name


def is_remote(where: str) -> bool:
    """Return whether a place is one that is read through fsspec."""
    return scheme_of(where) in SERVICES


def joined(parts: Iterable[str]) -> str:
    """Return parts of a path that are not empty as one path."""
    return "/".join(part for part in parts if part)
