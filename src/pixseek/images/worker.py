"""The program of a worker process: decode one file after the other until the input ends."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
import warnings
from typing import Any

from pixseek.errors import ImageError
from pixseek.images.confinement import MOST_CPU_S, allow_cpu, confine
from pixseek.images.decoders import decode_here
from pixseek.images.formats import by_name
from pixseek.images.limits import Limits, Request, damaged, too_large
from pixseek.images.messages import Channel

#: Seconds past the time limit after which a hanging worker ends itself, if its parent is gone and
#: can't kill it. The timer is in C, so it works inside a C library too.
_ORPHANED_S = 10.0


def main() -> None:
    """Answer questions; see `isolation`."""
    # A library's prints must not get into the answers.
    channel = Channel(os.dup(0), os.dup(1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")
    silent = open(os.devnull, "w")  # noqa: SIM115
    settings = json.loads(sys.argv[1])
    confined = confine(settings["memory_mib"], settings["parent"], settings["path"])
    importlib.import_module("PIL.Image")  # now, so that it takes nothing of a file's time
    channel.send({"ready": confined})
    while True:
        try:
            question = channel.receive_head()
            (data,) = channel.receive_blobs(question["blobs"])
        except EOFError:
            return
        limits = Limits(**question["request"].pop("limits"))
        request = Request(**question["request"], limits=limits)
        allow_cpu((limits.timeout_s + _ORPHANED_S) * (request.threads + 1))
        faulthandler.dump_traceback_later(limits.timeout_s + _ORPHANED_S, exit=True, file=silent)
        answer, blobs = _answer(question["format"], bytes(data), request)
        faulthandler.cancel_dump_traceback_later()
        del data
        try:
            channel.send({**answer, "number": question["number"]}, blobs)
        except OSError:
            return
        if time.process_time() > MOST_CPU_S / 2:
            return


def _answer(name: str, data: bytes, request: Request) -> tuple[dict[str, Any], list[bytes]]:
    try:
        picture = decode_here(by_name(name), data, request)
        same = picture.exif is data  # a TIFF is its own EXIF block; don't send it back
        head = {
            "width": picture.width,
            "height": picture.height,
            "notes": picture.notes,
            "size": picture.pixels.size,
            "exif_is_file": same,
            "profile": picture.profile,
            "texts": list(picture.texts),
        }
        blobs = [picture.pixels.tobytes(), b"" if same else picture.exif, picture.xmp, picture.iptc]
        return head, [*blobs, *picture.texts.values()]
    except ImageError as error:
        refusal = error
    except MemoryError:
        refusal = too_large("it needs too much memory")
    except BaseException as error:  # a panic in a Rust library is not an Exception
        refusal = damaged(error)
    return {"error": (refusal.reason, refusal.problem, refusal.advice)}, []
