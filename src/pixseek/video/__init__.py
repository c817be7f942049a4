"""Videos: from a file to shots, each with a frame that stands for it.

FFmpeg, by PyAV (`pixseek[video]`), decodes each video in a process of its own (`frames`, `worker`),
where `sampling` chooses the frames that are looked at and `upright` makes pictures of them. `shots`
groups them by their vectors; `clips` cuts a part out of a file.
"""

from __future__ import annotations

from pixseek.video.clips import Cut, cut
from pixseek.video.formats import EXTENSIONS, media
from pixseek.video.frames import Frames, Source, at_seconds, available, frame_at, probe
from pixseek.video.motion import embedded_clip
from pixseek.video.probe import Probe

__all__ = [
    "EXTENSIONS",
    "Cut",
    "Frames",
    "Probe",
    "Source",
    "at_seconds",
    "available",
    "cut",
    "embedded_clip",
    "frame_at",
    "media",
    "probe",
]
