"""Connections of fsspec that keep pixseek's rules: public addresses only, known SSH hosts only."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from pixseek.sources.remote_files import CONNECT_S, SILENCE_S


class UnknownHostError(OSError):
    """The key of a server is not known, so it may be another one."""


class PrivateAddressError(OSError):
    """An address belongs to this machine or its network."""


def guarded_client(*, allow_private: bool) -> Callable[..., Awaitable[Any]]:
    """Return what makes a client of the web that connects to public addresses only.

    Each address is looked at when it is connected to, so redirects and names that change are, too.
    """
    import aiohttp

    from pixseek.sources.addresses import is_public
    from pixseek.sources.answers import agent

    def connected(found: Any) -> socket.socket:
        family, kind, protocol, _, address = found
        if not allow_private and not is_public(address[0]):
            raise PrivateAddressError(
                f"{address[0]} is not a public address; to allow it: --allow-private"
            )
        return socket.socket(family, kind, protocol)

    async def client(**_: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=connected, limit=64),
            timeout=aiohttp.ClientTimeout(None, connect=CONNECT_S, sock_read=SILENCE_S),
            headers={"User-Agent": agent()},
        )

    return client


def over_ssh(host: str, port: int | None, user: str | None) -> Any:
    """Return a file system over SSH, signed in as OpenSSH would: by its settings, keys and agent.

    Raises:
        UnknownHostError: the server's key is not in ~/.ssh/known_hosts.
        OSError, paramiko.SSHException: it can't be connected to.
    """
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    class Reject(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, _client: Any, hostname: str, _key: Any) -> None:
            raise UnknownHostError(f"the key of {hostname} is not in ~/.ssh/known_hosts")

    class Known(SFTPFileSystem):  # type: ignore[misc]
        # fsspec's own takes any key, and reads no settings.
        cachable = False

        def _connect(self) -> None:
            settings = paramiko.SSHConfig()
            path = os.path.expanduser("~/.ssh/config")
            if os.path.isfile(path):
                settings = paramiko.SSHConfig.from_path(path)
            said = settings.lookup(self.host)
            self.client = paramiko.SSHClient()
            self.client.load_system_host_keys()
            self.client.set_missing_host_key_policy(Reject())
            self.client.connect(
                said.get("hostname", self.host), port or int(said.get("port", 22)),
                user or said.get("user"), key_filename=said.get("identityfile"),
                timeout=CONNECT_S, banner_timeout=SILENCE_S, auth_timeout=SILENCE_S,
            )  # fmt: skip
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(SILENCE_S)

    return Known(host)
