"""How fast images on the web are indexed, next to the same files from disk, and in how much memory.

    python benchmarks/urls.py                # 10,000 images, 50 ms of latency; the demo model
    python benchmarks/urls.py --count 400    # a test of the benchmark

A server in a process of its own speaks HTTP/2 over TLS (with trustme and h2 of the tests' tools;
`--plain`: HTTP/1.1), answers each request after the latency, one in 200 with 503 first, and one in
500 it breaks off first. All runs index the same 200 pictures under different names; every image is
decoded and embedded, since the contents differ in a comment. Each run is a process of its own, one
after the other: a tenth of the URLs, all of them, and all files from disk. Of each the largest
resident size and the processor time are given, of the server its processor time: where both share
the cores, `ratio of processor time` is what a link to another machine would leave of the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Bytes in the unit of the largest resident size.
UNIT = 1 if sys.platform == "darwin" else 1 << 10


class _Faulty:
    """What the server has in a folder, and the faults with which it gives it."""

    def __init__(self, folder: Path, latency_s: float) -> None:
        self.folder, self.latency_s = folder, latency_s
        self.failed: set[str] = set()

    async def answer(self, path: str) -> tuple[int, bytes, bool]:
        """Return status, content, and whether to break off in the middle of it."""
        await asyncio.sleep(self.latency_s)
        name = path[1:]
        number = int(re.sub(r"\D", "", name))
        is_first = name not in self.failed
        self.failed.add(name)
        if number % 200 == 0 and is_first:
            return 503, b"", False
        return 200, (self.folder / name).read_bytes(), number % 500 == 1 and is_first


async def _plain(faulty: _Faulty, reader: Any, writer: Any) -> None:
    """Speak HTTP/1.1 on one connection."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            status, content, breaks = await faulty.answer(head.split()[1].decode())
            writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n" % (status, len(content)))
            writer.write(content[: len(content) // 2] if breaks else content)
            await writer.drain()
            if breaks:
                break
    writer.close()


async def _http2(faulty: _Faulty, reader: Any, writer: Any) -> None:
    """Speak HTTP/2 on one connection, many requests at once."""
    import h2.config
    import h2.connection
    import h2.events

    speaking = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    speaking.initiate_connection()
    windows = asyncio.Condition()

    async def respond(stream: int, path: str) -> None:
        status, content, breaks = await faulty.answer(path)
        with contextlib.suppress(Exception):  # the client may have gone
            speaking.send_headers(
                stream, [(":status", str(status)), ("content-length", str(len(content)))],
                end_stream=not content,
            )  # fmt: skip
            at, end = 0, len(content) // 2 if breaks else len(content)
            while at < end:
                room = min(
                    speaking.local_flow_control_window(stream), speaking.max_outbound_frame_size
                )
                if room <= 0:
                    writer.write(speaking.data_to_send())
                    async with windows:
                        await windows.wait()
                    continue
                piece = content[at : min(at + room, end)]
                at += len(piece)
                speaking.send_data(stream, piece, end_stream=at == len(content))
            if breaks:
                speaking.reset_stream(stream)
            writer.write(speaking.data_to_send())
            await writer.drain()

    tasks = set()
    writer.write(speaking.data_to_send())
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            for event in speaking.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    path = dict(event.headers)[b":path"].decode()
                    task = asyncio.ensure_future(respond(event.stream_id, path))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                elif isinstance(event, h2.events.WindowUpdated):
                    async with windows:
                        windows.notify_all()
            writer.write(speaking.data_to_send())
    writer.close()


async def _serve(folder: Path, latency_s: float, certificate: str) -> None:
    faulty = _Faulty(folder, latency_s)
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["h2"])
    speak = _http2 if certificate else _plain
    server = await asyncio.start_server(
        lambda reader, writer: speak(faulty, reader, writer), "127.0.0.1", 0,
        backlog=200, ssl=context,
    )  # fmt: skip
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(sys.stdin, done.set)  # it is closed at the end
    await done.wait()
    print(time.process_time(), flush=True)


def _index(what: str, library: str) -> None:
    import pixseek

    with pixseek.open(library, model="demo", allow_private=True) as opened:
        began = time.perf_counter()
        report = opened.index(what)
        took = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"added": report.added, "failures": len(report.failures), "seconds": took,
                      "cpu_seconds": used.ru_utime + used.ru_stime,
                      "peak_mb": used.ru_maxrss * UNIT / (1 << 20)}))  # fmt: skip


def _write(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    contents = []
    for _ in range(min(count, 200)):
        noise = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        path = folder / "one.jpg"
        Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC).save(path, quality=85)
        contents.append(path.read_bytes())
    path.unlink()
    for number in range(count):
        content = contents[number % len(contents)]
        comment = b"\xff\xfe\x00\x0a%08d" % number  # so that no two are the same
        (folder / f"{number}.jpg").write_bytes(content[:2] + comment + content[2:])


def _certificate(where: Path) -> str:
    """Write a certificate that the runs trust; return the path of it and its key."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(where / "authority.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(where / "server.pem")
    )
    os.environ["SSL_CERT_FILE"] = str(where / "authority.pem")
    return str(where / "server.pem")


def main() -> None:
    """Write the images, run all, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--plain", action="store_true", help="HTTP/1.1 without TLS")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--certificate", default="", help=argparse.SUPPRESS)
    parser.add_argument("--index", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.serve, given.latency_ms / 1000, given.certificate))
        return
    if given.index:
        _index(*given.index)
        return
    me = [sys.executable, os.path.abspath(__file__), "--latency-ms", str(given.latency_ms)]
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where, "images")
        folder.mkdir()
        _write(folder, given.count)
        certificate = "" if given.plain else _certificate(Path(where))
        found: dict[str, dict[str, float]] = {}

        def run(name: str, what: Path) -> None:
            command = [*me, "--index", str(what), str(Path(where, name.replace(" ", "-")))]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name] = said = json.loads(done.stdout.splitlines()[-1])
            said["rate"] = said["added"] / said["seconds"]
            print(f"{name}: {said['added']:,} images, {said['failures']} failures, "
                  f"{said['rate']:.1f} a second, {said['cpu_seconds']:.0f} s of processor time, "
                  f"peak {said['peak_mb']:.0f} MB", flush=True)  # fmt: skip

        run("disk", folder)
        for name, count in (("a tenth of the URLs", given.count // 10), ("URLs", given.count)):
            server = subprocess.Popen(
                [*me, "--serve", str(folder), "--certificate", certificate],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                assert server.stdout is not None and server.stdin is not None
                port = int(server.stdout.readline())
                site = f"{'https' if certificate else 'http'}://localhost:{port}"
                table = Path(where, "urls.txt")
                table.write_text("\n".join(f"{site}/{n}.jpg" for n in range(count)))
                run(name, table)
                server.stdin.close()
                found[name]["server_cpu_seconds"] = float(server.stdout.readline())
            finally:
                server.terminate()
                server.wait()
    disk, urls, tenth = found["disk"], found["URLs"], found["a tenth of the URLs"]
    figures = {
        "ratio": urls["rate"] / disk["rate"],
        "cpu_ratio": disk["cpu_seconds"] / urls["cpu_seconds"],
        "peak_growth_mb": urls["peak_mb"] - tenth["peak_mb"],
    }
    print(f"ratio of rates {figures['ratio']:.2f}, of processor time {figures['cpu_ratio']:.2f}; "
          f"the server took {urls['server_cpu_seconds']:.0f} s; "
          f"{figures['peak_growth_mb']:.0f} MB more than for a tenth")  # fmt: skip
    if given.json:
        about = {"count": given.count, "latency_ms": given.latency_ms, "http2": not given.plain}
        given.json.write_text(json.dumps({**about, **figures, "runs": found}))


if __name__ == "__main__":
    main()
