"""What a server allows."""

from __future__ import annotations

from pathlib import Path

from pixseek.types.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request, and one client, may ask for.

    Attributes:
        most_hits: `k` at most.
        deepest: `offset` plus `k` at most.
        most_layout: hits of a layout at most.
        most_records: records that are read together at most.
        upload_bytes: bytes of one request's body at most, if it holds images.
        json_bytes: bytes of any other body at most.
        body_s, silence_s: seconds that a body may take, in all and between two pieces of it.
        unread_s: seconds for which nothing of a long answer need be read.
        uploads_at_once: bodies with images that are in memory at most; further ones wait.
        upload_pixels: pixels of an uploaded picture at most.
        upload_count: uploaded pictures of one request at most.
        most_ids: images that one request may change.
        most_texts: texts and images of one request to embed.
        requests_a_second: of one client, over `burst_s` seconds; 0 for no limit.
        burst_s: seconds of requests that a client may send at once.
        waiting: searches that wait at most; further ones are told to come back.
    """

    most_hits: int = 1000
    deepest: int = 20_000
    most_layout: int = 100_000
    most_records: int = 200
    upload_bytes: int = 64 << 20
    json_bytes: int = 4 << 20
    body_s: float = 600.0
    silence_s: float = 30.0
    unread_s: float = 120.0
    uploads_at_once: int = 4
    upload_pixels: int = 100_000_000
    upload_count: int = 100
    most_ids: int = 1000
    most_texts: int = 256
    requests_a_second: float = 50.0
    burst_s: float = 10.0
    waiting: int = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server does besides answering.

    Attributes:
        limits: see `Limits`.
        fetch_urls: whether a query may name an example by URL, which the server then fetches; never
            from this machine or a private network.
        uploads: folder that uploaded images are put into; None to refuse them.
        folders: those with the right to write may have these folders indexed, and what is below
            them, besides the roots of the library.
        prefix: the path under which a proxy shows the server, such as "/photos"; "" for none.
        origins: pages of these sites may ask from a browser (CORS), such as "https://example.org";
            with the rights of the token they send, or of anybody if none is needed.
        is_encrypted: whether clients reach it by TLS, so that cookies may say so.
    """

    limits: Limits = Limits()
    fetch_urls: bool = False
    uploads: Path | None = None
    folders: tuple[Path, ...] = ()
    prefix: str = ""
    origins: tuple[str, ...] = ()
    is_encrypted: bool = False
