#!/usr/bin/env bash
# PyAV 18.1.0: frames of a video whose side data (rotation, HDR) are looked at.
#
# Expected: a frame is freed when nothing refers to it any more, whether its side data were looked at or not.
# Happens: `frame.side_data` makes an object that the frame keeps, and that keeps the frame. Such frames stay
# until Python's cyclic collector runs. It counts objects and not megabytes, and a loop over frames makes few:
# a hundred frames of 1080p are 300 MB by then. `frame.rotation`, which reads the same data, keeps nothing.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, numpy 2.4.6 (MiB more than at the start, at most):
#   rotation of each of 200 frames                     1
#   side data of each, and gc.collect() after each     0
#   side data of each                                474
#
# For pixseek: flips are in the side data alone, so the process that decodes a video calls `gc.collect()` after
# each frame that it sends, behind one `gc.freeze()`, which makes that cost some microseconds (video/worker.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/film.mp4" <<'PYTHON'
import gc
import sys

import av
import numpy as np

with av.open(sys.argv[1], "w") as out:
    stream = out.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
    frame = av.VideoFrame.from_ndarray(np.zeros((1080, 1920, 3), np.uint8), "rgb24")
    for _ in range(200):
        frame.pts = None
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
del frame, stream


def resident():
    with open("/proc/self/status") as status:
        return int(status.read().split("VmRSS:")[1].split()[0]) // 1024


def most(look):
    gc.collect()
    start = highest = resident()
    with av.open(sys.argv[1]) as film:
        for frame in film.decode(video=0):
            look(frame)
            highest = max(highest, resident())
    del frame
    return highest - start


def collected(frame):
    frame.side_data
    gc.collect()


plain = most(lambda frame: frame.rotation)
freed = most(collected)
kept = most(lambda frame: frame.side_data)
print(f"PyAV {av.__version__}; MiB more than at the start, at most")
print(f"rotation of each of 200 frames                     {plain}")
print(f"side data of each, and gc.collect() after each     {freed}")
print(f"side data of each                                  {kept}")
sys.exit(0 if max(plain, freed) < 100 < 200 < kept else 1)
PYTHON
