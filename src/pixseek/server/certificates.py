"""Checks a certificate for TLS and its key, and says which of both files is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path

from pixseek.errors import ConfigError

#: Bytes of a file in PEM at most: a chain has some thousand.
_MOST = 1 << 20

_CERTIFICATE, _KEY = b"CERTIFICATE-----", b"PRIVATE KEY-----"


def check(cert: str, key: str) -> None:
    """Check that a server can use a certificate and its key, which may be in one file.

    Raises:
        ConfigError: it can't.
    """
    _check_holds(cert, _CERTIFICATE, "certificate", "--cert")
    content = _check_holds(key, _KEY, "private key", "--key")
    if b"ENCRYPTED" in content:
        raise ConfigError(
            "The private key is encrypted, and a server can't ask for its password", key,
            "Decrypt it, for its owner alone: (umask 077; openssl pkey -in KEY -out PLAIN-KEY)",
        )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # else OpenSSL asks on the terminal
    except (OSError, ValueError) as error:
        said = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
        if "values mismatch" in said or "type mismatch" in said:
            raise ConfigError(
                "The private key does not belong to the certificate", f"{key}, {cert}",
                "Give the key that the certificate was made for; of several certificates in a "
                "file, the server's own comes first.",
            ) from error  # fmt: skip
        if said == "ee key too small" or "md too weak" in said:
            raise ConfigError(
                f"The certificate is too weak for TLS ({said})", cert,
                "Make one with a key of at least 2,048 bits and SHA-256.",
            ) from error  # fmt: skip
        wrong, what = (key, "private key") if _is_readable(cert) else (cert, "certificate")
        raise ConfigError(
            f"The {what} is damaged, or not of a kind that TLS has ({said})", wrong,
            "Get the file again.",
        ) from error  # fmt: skip


def _check_holds(path: str, wanted: bytes, what: str, option: str) -> bytes:
    """Return the content of a file that holds what an option names, in PEM."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST)
    except OSError as error:
        raise ConfigError(
            f"The {what} can't be read ({error.strerror or error})", path,
            f"Check the path and the rights of the file, or name another with {option}.",
        ) from error  # fmt: skip
    if wanted in content:
        return content
    other = {_CERTIFICATE: (_KEY, "private key"), _KEY: (_CERTIFICATE, "certificate")}[wanted]
    if other[0] in content:
        said = f"This file holds a {other[1]}, and no {what}"
    elif b"-----BEGIN " in content:
        said = f"This file is in PEM and holds no {what}"
    else:
        said = "This file is not in PEM, which is text with lines such as -----BEGIN CERTIFICATE"
    advice = f"{option} names the {what}."
    if content[:1] == b"\x30":
        advice = "It may be in DER: convert it with openssl."
    raise ConfigError(said, path, advice)


def _is_readable(cert: str) -> bool:
    text = Path(cert).read_text("ascii", "replace")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True
