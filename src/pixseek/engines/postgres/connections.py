"""Connections to a PostgreSQL server, and errors of psycopg in the words of pixseek."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from pixseek.errors import EngineError
from pixseek.redaction import MASK, Address
from pixseek.storage.errors import closed

#: What the server or libpq says about a connection that fails, for which there are no classes; the
#: problem, and what to do; {0} stands for the message.
_FAILED = (
    (
        r"authentication failed|no password supplied|role .* does not exist",
        "PostgreSQL does not accept the user or password",
        "Give them in the address, in ~/.pgpass or PGPASSWORD. It said: {0}",
    ),
    (
        r"database .* does not exist",
        "PostgreSQL has no such database",
        "Create it with: createdb NAME. It said: {0}",
    ),
    (
        r"certificate|SSL|TLS",
        "the connection to PostgreSQL can't be secured",
        "For an authority of your own: sslrootcert=FILE.pem in the address. For a server without "
        "TLS in your own network: sslmode=disable. It said: {0}",
    ),
    (
        r"too many (clients|connections)|remaining connection slots",
        "PostgreSQL has no free connection",
        "Try again later, or raise max_connections. It said: {0}",
    ),
)
#: Classes of psycopg's errors, the problem, and what to do. The first class that fits counts.
_MEANINGS = (
    (
        ("FeatureNotSupported", "UndefinedFile", "UndefinedObject", "UndefinedFunction"),
        "the PostgreSQL server has no pgvector",
        "Install 0.8 or newer on the server (https://github.com/pgvector/pgvector). It said: {0}",
    ),
    (
        ("InsufficientPrivilege",),
        "PostgreSQL does not allow this",
        "Ask for the right, or let an administrator create the extension 'vector'. It said: {0}",
    ),
    (
        ("ReadOnlySqlTransaction",),
        "the PostgreSQL server takes no writes",
        "It is a standby, or default_transaction_read_only is on; searches work. It said: {0}",
    ),
    (
        ("UndefinedColumn", "UndefinedTable", "DatatypeMismatch"),
        "these tables are not a library of pixseek",
        "Choose another name by ?table=NAME in the address. It said: {0}",
    ),
    (
        ("ProgramLimitExceeded",),
        "PostgreSQL can't store so long a text",
        "An id may have 2,600 bytes, the words of a record 1 MB. It said: {0}",
    ),
    (
        ("QueryCanceled", "LockNotAvailable"),
        "PostgreSQL ended this at a time limit",
        "Raise statement_timeout or lock_timeout, or try again later. It said: {0}",
    ),
    (("DiskFull",), "the PostgreSQL server's disk is full", "{0}"),
    (
        ("OperationalError",),
        "PostgreSQL is out of reach",
        "Is it running, and the URL right? {0}",
    ),
    (("Error",), "PostgreSQL refused", "{0}"),
)


#: Seconds until another server is suspected at the address, the least that libpq knows; and until
#: a connection is given up.
_SOON_S, _PATIENCE_S = 2, 10
#: Names of this machine.
_HERE = ("", "localhost", "127.0.0.1", "::1")


class Connections:
    """Connections to one server. May be used from several threads."""

    def __init__(self, address: Address, subject: str) -> None:
        """Connect later.

        Args:
            address: a URL, as libpq takes it.
            subject: name of the library in errors.
        """
        self._address, self._subject = address, subject
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._all: list[Any] = []
        self._closed = False

    @contextlib.contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Any]:
        """Lend a connection in a transaction: committed at the end, or rolled back.

        Args:
            snapshot: whether all statements see the database as the first one does.

        Raises:
            EngineError: the server is out of reach, or refuses.
        """
        with translated(self._address):
            db = self._take()
            try:
                with db.transaction():
                    if snapshot:
                        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    yield db
            finally:
                _end_what_runs(db)
                with self._lock:
                    if not self._closed and not db.closed:
                        self._idle.append(db)
                    elif db in self._all:
                        self._all.remove(db)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Any]:
        """Lend a connection of its own without a transaction, and close it at the end.

        Raises:
            EngineError: the server is out of reach, or refuses.
        """
        with translated(self._address):
            db = self._take()
            try:
                yield db
            finally:
                with self._lock:
                    if db in self._all:
                        self._all.remove(db)
                db.close()

    def close(self) -> None:
        """Close all connections, those that are lent too."""
        with self._lock:
            self._closed = True
            connections, self._all, self._idle = self._all, [], []
        for db in connections:
            db.close()

    def _take(self) -> Any:
        import psycopg

        with self._lock:
            if self._closed:
                raise closed(self._subject)
            while self._idle:
                db = self._idle.pop()
                if not db.closed:
                    return db
                self._all.remove(db)
        given = psycopg.conninfo.conninfo_to_dict(self._address.secret)
        more = _security(given)

        def connect(**patience: Any) -> Any:
            return psycopg.connect(self._address.secret, autocommit=True, **more, **patience)

        if "connect_timeout" in given:
            db = connect()
        else:
            try:
                db = connect(connect_timeout=_SOON_S)
            except psycopg.errors.ConnectionTimeout as error:
                # Some web servers wait for the end of what they take for a request.
                if other := _other_server(self._address, error):
                    raise other from error
                db = connect(connect_timeout=_PATIENCE_S)
        with self._lock:
            self._all.append(db)
        return db


def _security(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by which the certificate and name of a server are checked.

    Left to libpq alone, a connection without `sslmode` checks nothing, and goes without TLS if the
    server has none. What the user says is done, and this machine is asked for no certificate.
    """
    environment = os.environ
    hosts = str(given.get("host") or given.get("hostaddr") or environment.get("PGHOST", ""))
    said = {"sslmode", "service"} & given.keys() or {"PGSSLMODE", "PGSERVICE"} & environment.keys()
    if said or all(each in _HERE or each.startswith("/") for each in hosts.split(",")):
        return {}
    checked = {"sslmode": "verify-full"}
    own = os.path.join(os.path.expanduser("~"), ".postgresql", "root.crt")
    if not ("sslrootcert" in given or "PGSSLROOTCERT" in environment or os.path.exists(own)):
        import certifi

        # Not "system": the OpenSSL within psycopg's wheels has a folder of its own for that.
        checked["sslrootcert"] = environment.get("SSL_CERT_FILE") or certifi.where()
    return checked


def _end_what_runs(db: Any) -> None:
    """Close a connection that is still busy: Ctrl-C came between a question and its answer.

    No other question can be asked on it. The server is told to stop, or it would go on for nobody.
    """
    from psycopg.pq import TransactionStatus

    if db.closed or db.info.transaction_status == TransactionStatus.IDLE:
        return
    with contextlib.suppress(Exception):
        db.cancel_safe(timeout=2)
    db.close()


@contextlib.contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn errors of psycopg into EngineErrors without secrets, by `_MEANINGS`."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        address.scrub(error)
        if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
            # The address can't be parsed: what libpq quotes may be any part of a password.
            error.args = tuple(re.sub(r'".*"', f'"{MASK}"', str(arg)) for arg in error.args)
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            if other := _other_server(address, error):
                raise other from error
            for said, problem, advice in _FAILED:
                if re.search(said, str(error)):
                    raise EngineError(problem, address.place, advice.format(error)) from error
        for names, problem, advice in _MEANINGS:
            if isinstance(error, tuple(_named(name) for name in names)):
                raise EngineError(problem, address.place, advice.format(error)) from error
        raise


def _other_server(address: Address, error: Exception) -> EngineError | None:
    """Return the error of a connection that was refused by a server which is not PostgreSQL."""
    if not re.search("received|timeout|closed the connection|lost synchron", str(error)):
        return None
    from psycopg.conninfo import conninfo_to_dict

    from pixseek.engines.strangers import mistaken

    given = conninfo_to_dict(address.secret)
    host = str(given.get("host") or "localhost").split(",")[0]
    port = str(given.get("port") or 5432).split(",")[0]
    if host.startswith("/") or not port.isdigit():
        return None
    return mistaken("postgresql", address.place, (host, int(port)))


def _named(name: str) -> Any:
    """Return a class of psycopg's errors, which are imported when one is raised."""
    import psycopg
    from psycopg import errors

    return getattr(psycopg, name, None) or getattr(errors, name)
