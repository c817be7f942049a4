"""No secret is shown: addresses of servers without their passwords, tokens and keys.

Every `PixseekError` and everything that the command line prints goes through `redacted`. What other
packages raise about an address goes through `scrub`. A password may hold any character, also ones
that should be encoded: too much is hidden rather than too little.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

#: What stands for a secret.
MASK = "***"

#: An address: its scheme, and the rest of the line, as a password may hold spaces.
_ADDRESS = (
    r"(?<![\w+.-])(?!(?i:https?|wss?):)"
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+(?=:/)|(?i:postgres(?:ql)?)):/{0,3}(?P<rest>[^\n]*)"
)
#: One on the web, where it ends before a space, in any number of slashes that a path leaves of two.
_WEB = r"(?<![\w+.-])(?P<scheme>(?i:https?|wss?)):/{0,3}(?P<rest>[^\s'\"<>]*)"

#: The user before a password that was not encoded, which may hold all that ends an address; a
#: number behind the colon is a port.
_OPEN_USER = r"[^\s/?#@:'\"<>\[]*:(?!\d{0,5}(?:[/?#\s'\"<>),.;]|$))"

#: A user and a password without a scheme: of a proxy, of which environment variables may name only
#: the host, or behind two slashes.
#: The lengths are limited, and other patterns give nothing back: a text may be long, and time must
#: not grow with its square.
_BARE = (
    r"(?<![\w.%+@/:-])[\w.%+-]++:([^\s@/'\"<>]{1,2000})@(?=[\w.-]{1,253}:\d{1,5}(?!\w))"
    r"|(?i:proxy)\w{0,80}\s{0,20}[=:]\s{0,20}[^\s:@/]{1,253}:(?!/)([^@\n]{1,2000})@"
    r"|(?<![:\w/])//[^\s/@:]{0,253}:([^\s@]{0,2000})@"
)

#: The header that holds a password or token.
_HEADER = r"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?(?:[a-z]+\s+)?([^\s'\"]+)"

#: The user and the password of an address, up to its host.
_USERINFO = r"(?<=://)([^\s/?#'\"<>@:]*+)(:?+)[^\s/?#'\"<>]*@"

#: A parameter behind "?", and names of those that are secret, once decoded.
#: What stands behind "&" without a name of its own is part of the value before.
_PARAMETER = r"[?&;#]([^=&;#\s]{1,80})=([^&\n]*(?:&[^=&\n]*(?=&|$))*)"
_SECRET_NAME = r"(?i)pass|pwd|secret|token|cred|signature|^sig$|^auth$|key$"

#: `password=...` anywhere, as libpq and the environment write it.
_KEYWORD = (
    r"(?i)(?<![\w-])(?=[\w-]*?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key))"
    r"[\w-]++\s*+=\s*"
    r"('(?:\\.|[^'\\])*'?|\"(?:\\.|[^\"\\])*\"?|[^\s&]+(?:&[^=&\s]*(?=&|\s|$))*)"
)

#: Keywords of a connection string of libpq, which names a server without a URL.
_LIBPQ = r"(?:^|\s)(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=\s*\S"


def redacted(text: str) -> str:
    """Return a text in which `MASK` stands for each secret of the addresses in it."""
    end, parts = 0, []
    for start, stop in _spans(text):
        parts += [text[end:start], MASK]
        end = stop
    return "".join([*parts, text[end:]]) if parts else text


def without_passwords(text: str) -> str:
    """Return a text in which `MASK` stands for the password, or token, before a host.

    It leaves all else as it is, so also an address that can be used only with its signature.
    """
    if "://" not in text or "@" not in text:
        return text
    return re.sub(_USERINFO, lambda at: f"{at[1]}:{MASK}@" if at[2] else f"{MASK}@", text)


def hidden(text: str, address: str) -> str:
    """Return a text about an address, redacted, also of any part of the address's secrets.

    A server's library may quote a part of a password that it took for something else.
    """
    text = redacted(text)
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(f'"{secret}"', f'"{MASK}"')
        if len(secret) > 2:
            text = text.replace(secret, MASK)
    return text


def scrub(error: BaseException, address: str = "") -> None:
    """Redact the messages of an error and of all that led to it; a traceback shows them all."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        each = stack.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.args = tuple(_hidden(arg, address) for arg in each.args)
        # Some errors show by a property what they keep under another name.
        names = {"problem", "subject", "advice", "message", *getattr(each, "__dict__", ())}
        for name in names:
            if isinstance(value := getattr(each, name, None), str | list):
                with contextlib.suppress(AttributeError):  # a property that can't be set
                    setattr(each, name, _hidden(value, address))
        stack += [each.__cause__, each.__context__]


def is_address(text: str) -> bool:
    """Return whether a text names a server, and no folder.

    Also `postgresql:/...`, which is a URL that went through a path, and what libpq takes.
    """
    return (":" in text or "=" in text) and (  # else no pattern need be compiled
        re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None
        or re.match(r"(?i)(?:postgres(?:ql)?:|memory:/|embedded:)", text) is not None
        or is_connection_string(text)
    )


def is_connection_string(text: str) -> bool:
    """Return whether a text is a connection string of libpq: host=... dbname=..."""
    return (
        len(re.findall(_LIBPQ, text)) > 1
        or re.match(r"(?i)\s*(?:dbname|password)\s*=", text) is not None
    )


class Address:
    """The address of a server: shown without its secrets, which have to be asked for."""

    __slots__ = ("_given", "secret")

    def __init__(self, secret: str, given: str = "") -> None:
        """Keep an address.

        Args:
            secret: with its secrets, as the server's library takes it.
            given: as the user wrote it, if that differs.
        """
        self.secret = secret
        self._given = given or secret

    def __str__(self) -> str:
        return redacted(self._given)

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def place(self) -> str:
        """Its host and path, to name it in errors."""
        import urllib.parse

        try:
            parsed = urllib.parse.urlsplit(str(self))
            return f"{parsed.hostname or 'local'}{parsed.path}"
        except ValueError:
            return str(self)

    def hidden(self, text: str) -> str:
        """Return a text about it without its secrets; see `hidden`."""
        return hidden(text, self._given)

    def scrub(self, error: BaseException) -> None:
        """Take its secrets out of an error; see `scrub`."""
        scrub(error, self._given)


def _hidden(value: object, address: str) -> object:
    if isinstance(value, str):
        return hidden(value, address)
    if isinstance(value, list | tuple):
        return type(value)(_hidden(each, address) for each in value)
    return value


def _secrets(address: str) -> set[str]:
    """Return the secrets of an address, as written and decoded, and their parts."""
    from urllib.parse import unquote

    found: set[str] = set()
    for start, stop in _spans(address):
        for text in (address[start:stop], unquote(address[start:stop])):
            found |= {text, text.strip("'\":"), *re.split(r"[\s/@:#?&%='\"\\]+", text)}
    return found - {""}


def _spans(text: str) -> list[tuple[int, int]]:
    """Return where the secrets of a text are, in order, none overlapping another."""
    if ":" not in text and "=" not in text:
        return []
    spans: list[tuple[int, int]] = []
    found = list(_found(text))
    for match in re.finditer(_BARE, text) if "@" in text else ():
        bare = match.span(match.lastindex or 0)
        if all(stop <= bare[0] or bare[1] <= start for start, stop in found):
            found.append(bare)
    for start, stop in sorted(found):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        elif stop > start:
            spans.append((start, stop))
    return spans


def _found(text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(_KEYWORD, text):
        yield match.span(1)
    searched = 0  # up to here, for a password that was not encoded
    for match in re.finditer(_WEB, text):
        rest, at = match["rest"], match.start("rest")
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        yield from _credentials(host, at, keep_user=False)
        yield from _parameters(rest, at)
        if "@" not in host and at >= searched and re.compile(_OPEN_USER).match(text, at):
            line = re.split(r"\n|(?<![\w+.-])[\w+.-]++://", text[at:], maxsplit=1)[0]
            user = re.match(_OPEN_USER, line)
            if user is not None:
                yield at + user.end(), at + line.rfind("@", user.end())
                searched = at + len(line)
    for match in re.finditer(_HEADER, text):
        yield match.span(1)
    for match in re.finditer(_ADDRESS, text):
        rest, at = match["rest"], match.start("rest")
        keep_user = match["scheme"].lower().startswith("postgres")
        yield from _credentials(rest, at, keep_user=keep_user)
        yield from _parameters(rest, at)


def _credentials(rest: str, at: int, *, keep_user: bool) -> Iterator[tuple[int, int]]:
    """Yield where the password before the last "@" is; or the user, which may be a token."""
    user, sign, _ = rest.rpartition("@")
    if not sign:
        return
    colon = re.match(r"[^\s/@:]*:", user)
    # TOKEN:@ and TOKEN:x-oauth-basic@ are how some services take a token.
    if colon is not None and (keep_user or user[colon.end() :] not in ("", "x-oauth-basic")):
        yield at + colon.end(), at + len(user)
    elif not keep_user or re.search("%3a", user, re.IGNORECASE):
        yield at, at + len(user)


def _parameters(rest: str, at: int) -> Iterator[tuple[int, int]]:
    from urllib.parse import unquote

    for match in re.finditer(_PARAMETER, rest):
        if re.search(_SECRET_NAME, unquote(match[1])):
            yield at + match.start(2), at + match.end(2)
