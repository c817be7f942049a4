"""The program of a worker process: decode one file after the other until the input ends."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import warnings
from typing import Any

from pixseek.errors import ImageError
from pixseek.images.decoders import decode_here
from pixseek.images.formats import by_name
from pixseek.images.isolation import receive, send
from pixseek.images.limits import Limits, Request, damaged, too_large

#: Seconds past the time limit after which a hanging worker ends itself, if its parent is gone and
#: can't kill it. The timer is in C, so it works inside a C library too.
_ORPHANED_S = 10.0


def main() -> None:
    """Answer questions; see `isolation`."""
    # A library's prints must not get into the answers.
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")
    _restrain(int(sys.argv[2]))
    silent = open(os.devnull, "w")  # noqa: SIM115
    while True:
        try:
            question, (data,) = receive(questions)
        except EOFError:
            return
        limits = Limits(**question["request"].pop("limits"))
        request = Request(**question["request"], limits=limits)
        faulthandler.dump_traceback_later(limits.timeout_s + _ORPHANED_S, exit=True, file=silent)
        answer, blobs = _answer(question["format"], data, request)
        faulthandler.cancel_dump_traceback_later()
        del data
        try:
            send(answers, answer, blobs)
        except OSError:
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


def _restrain(memory_mib: int) -> None:
    """Limit this process's memory, and forbid core dumps and writing files."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        "RLIMIT_AS": memory_mib << 20,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
    }
    for name, value in wanted.items():
        # macOS refuses some of these; the time limit still holds there.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            kind = getattr(resource, name)
            _, hard = resource.getrlimit(kind)
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))
