"""Who may ask: hosts, tokens, the cookie of the login form, and where a request comes from.

    none needed      bound to loopback, no token set: whoever reaches the port has all rights
    read token       searches, previews, originals
    write token      besides: tags, uploads, runs, removing

A token comes as `Authorization: Bearer TOKEN`, or once to the login form, which answers with a
cookie that holds no token: the rights and the time it ends, signed with a key that only this
process knows.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from typing import Literal

from pixseek.errors import ConfigError
from pixseek.types.dataclass import dataclass

Rights = Literal["read", "write"]

COOKIE = "pixseek_login"

#: Seconds for which a login lasts: twelve hours, a working day.
LOGIN_S = 12 * 3600

#: Characters of a token at least; 16 of 64 possible ones are 96 bits.
SHORTEST_TOKEN = 16

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

#: Methods that change nothing.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server.

    Attributes:
        hosts: names under which it may be asked, in lower case, without ports.
        any_address: whether it may be asked under any IP address. Names of others can lead here,
            addresses can't.
        tokens: rights by the SHA-256 of each token; none if no token is needed.
        key: signs cookies.
        read_only: whether nobody may change anything.
    """

    hosts: frozenset[str]
    tokens: Mapping[bytes, Rights]
    key: bytes
    read_only: bool = False
    any_address: bool = False

    @classmethod
    def of(
        cls,
        *,
        bound_to: str,
        names: tuple[str, ...] = (),
        tokens: Mapping[str, Rights] | None = None,
        read_only: bool = False,
    ) -> Access:
        """Return the rules of a server.

        Args:
            bound_to: the address that it listens on.
            names: more names under which it is reached, such as "photos.example.org".
            tokens: rights by token.
            read_only: refuse all changes, whatever the token.

        Raises:
            ConfigError: a token is too short.
        """
        given = dict(tokens or {})
        for token in given:
            if len(token) < SHORTEST_TOKEN:
                raise ConfigError(
                    "A token is too short to be safe", f"{len(token)} characters",
                    f"Use at least {SHORTEST_TOKEN}, such as: {secrets.token_urlsafe(18)}",
                )  # fmt: skip
        hosts = {*_LOOPBACK_NAMES, *(name.lower() for name in names)}
        if bound_to not in ("0.0.0.0", "::", ""):
            hosts.add(f"[{bound_to}]" if ":" in bound_to else bound_to.lower())
        hashed = {_hash(token): rights for token, rights in given.items()}
        return cls(
            frozenset(hosts), hashed, secrets.token_bytes(32), read_only,
            any_address=not is_loopback(bound_to),
        )  # fmt: skip

    @property
    def needs_token(self) -> bool:
        """Whether whoever asks must prove their rights."""
        return bool(self.tokens)

    def knows_host(self, header: str) -> bool:
        """Return whether a `Host` header names this server.

        Pages of other sites can make a name of theirs lead to this machine (DNS rebinding); the
        browser then sends that name.
        """
        host = header.strip().lower()
        name = "".join(host.partition("]")[:2]) if host[:1] == "[" else host.partition(":")[0]
        return name.rstrip(".") in self.hosts or (self.any_address and _is_address(name))

    def rights_of(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Rights | None:
        """Return what a request may do; None for nothing."""
        if not self.tokens:
            return "read" if self.read_only else "write"
        scheme, _, token = headers.get("authorization", "").partition(" ")
        rights: Rights | None = None
        if scheme.lower() == "bearer":
            rights = self.rights_of_token(token.strip())
        elif COOKIE in cookies:
            rights = self._rights_of_cookie(cookies[COOKIE])
        return "read" if rights and self.read_only else rights

    def rights_of_token(self, token: str) -> Rights | None:
        """Return the rights of a token; None if it is unknown. Takes the same time for all."""
        given, found = _hash(token), None
        for known, rights in self.tokens.items():
            if hmac.compare_digest(known, given):
                found = rights
        return found

    def cookie(self, rights: Rights) -> str:
        """Return the value of a cookie that gives rights for `LOGIN_S` seconds."""
        said = f"{rights}.{int(time.time()) + LOGIN_S}"
        return f"{said}.{self._signature(said)}"

    def _rights_of_cookie(self, value: str) -> Rights | None:
        said, _, signature = value.rpartition(".")
        if not hmac.compare_digest(self._signature(said).encode(), signature.encode()):
            return None
        rights, _, ends = said.partition(".")
        return rights if rights in ("read", "write") and int(ends) > time.time() else None  # type: ignore[return-value]

    def _signature(self, said: str) -> str:
        return hmac.new(self.key, said.encode(), hashlib.sha256).hexdigest()


def comes_from_elsewhere(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a page of another site sent a request that could change something.

    Browsers say where a request comes from: `Sec-Fetch-Site` (all since 2023), and `Origin` with
    every POST. Programs send neither, and no cookie that somebody else's page could use.
    """
    if method in SAFE:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    return origin.partition("://")[2].lower() != headers.get("host", "").lower()


def is_loopback(address: str) -> bool:
    """Return whether an address is reached from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name[:1] + name[-1:] == "[]" else name)
    except ValueError:
        return False
    return True


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
