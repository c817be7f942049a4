"""How fast images on the web are indexed, next to the same files from disk, and in how much memory.

    python benchmarks/urls.py                # 10,000 images, 50 ms of latency; the demo model
    python benchmarks/urls.py --count 400    # a test of the benchmark

A server in a process of its own answers each request after the latency, and one in 200 with 503
first. Both runs index the same 200 files under different names; every image is decoded and
embedded, since the contents differ in a comment. The run from URLs and that from disk are processes
of their own, one after the other, of which the largest resident size is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Bytes in the unit of the largest resident size.
UNIT = 1 if sys.platform == "darwin" else 1 << 10


async def _serve(folder: Path, latency_s: float) -> None:
    failed: set[str] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                name = head.split()[1].decode()[1:]
                await asyncio.sleep(latency_s)
                number = int(re.sub(r"\D", "", name))
                if number % 200 == 0 and name not in failed:
                    failed.add(name)
                    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                else:
                    content = (folder / name).read_bytes()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
                    writer.write(content)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _index(what: str, library: str) -> None:
    import pixseek

    with pixseek.open(library, model="demo", allow_private=True) as opened:
        began = time.perf_counter()
        report = opened.index(what)
        took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / (1 << 20)
    print(json.dumps({"added": report.added, "failures": len(report.failures),
                      "seconds": took, "peak_mb": peak}))  # fmt: skip


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


def main() -> None:
    """Write the images, run both, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--index", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.serve, given.latency_ms / 1000))
        return
    if given.index:
        _index(*given.index)
        return
    me = [sys.executable, os.path.abspath(__file__), "--latency-ms", str(given.latency_ms)]
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where, "images")
        folder.mkdir()
        _write(folder, given.count)
        server = subprocess.Popen([*me, "--serve", str(folder)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            table = Path(where, "urls.txt")
            table.write_text(
                "\n".join(f"http://127.0.0.1:{port}/{n}.jpg" for n in range(given.count))
            )
            rates = {}
            for name, what in (("disk", folder), ("URLs", table)):
                run = [*me, "--index", str(what), str(Path(where, name))]
                done = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                rates[name] = found["added"] / found["seconds"]
                print(f"{name}: {found['added']:,} images, {found['failures']} failures, "
                      f"{rates[name]:.1f} a second, peak {found['peak_mb']:.0f} MB")  # fmt: skip
            print(f"ratio {rates['URLs'] / rates['disk']:.2f}")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
