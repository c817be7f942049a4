"""What is indexed: records, their parts, and facts about files and spaces."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Vectors = NDArray[np.float32]
    #: An image in memory: (height, width, 3) RGB.
    Pixels = NDArray[np.uint8]

#: What a field of an image may hold.
Scalar = str | int | float | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked when it was read; a file with an equal stamp is taken as unchanged."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """What of a record one vector stands for: the whole image, a tile of it, a shot of a video.

    Attributes:
        kind: which of these.
        box: left, top, width, height of a tile, as fractions of the image; None for the whole.
        start_s: first second of a shot; None for images.
        end_s: last second of a shot; None for images.
        frame_s: second of the frame that stands for a shot, whose vector it is; None for images.
    """

    kind: Literal["image", "tile", "shot"] = "image"
    box: tuple[float, float, float, float] | None = None
    start_s: float | None = None
    end_s: float | None = None
    frame_s: float | None = None


WHOLE = Part()


def record_id(uri: str) -> str:
    """Return the id of the record at `uri`: 16 characters, a to z and 2 to 7.

    Identity is location: the id is a hash of the URI alone (80 bits of BLAKE2b, so among ten
    million records two share an id with a probability of 4e-11), and two copies of one photo
    are two records.
    """
    # Names of files that are not text have ids too, which no record has.
    text = uri.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=10).digest()
    return base64.b32encode(digest).decode("ascii").lower()


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that was read in a picture.

    Attributes:
        text: as it was read.
        confidence: of the reader, in (0, 1].
        box: left, top, width, height, as fractions of the picture.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Record:
    """What a user sees: one image (or video) with all that is known of it.

    Attributes:
        id: see `record_id`.
        uri: `root/relative/path.jpg` with forward slashes, or a URL.
        stamp: size and modification time of the file; None if it is not a local file.
        digest: SHA-256 of the content in hexadecimal; "" when unknown.
        media: media type of the content, such as "image/jpeg"; "" when unknown.
        width: in pixels, upright; 0 when unknown.
        height: in pixels, upright; 0 when unknown.
        taken_at: when the photo was taken; with a time zone only if the file gives one. The field
            `taken_precision` says if only its year, month, day, hour or minute is known.
        caption: what somebody wrote about the image.
        tags: keywords.
        fields: anything else, by name.
        parts: what the record's vectors stand for, one each, in order; none for an image that has
            no vectors in the library's space, which is found by words and filters alone.
        away: its file is gone, but its annotations are kept. Such a record has no parts, and is
            found only by a filter on the field `away`.
        pixels: SHA-256 of the coded picture in hexadecimal, the same for files that differ in
            their metadata alone, with orientation and colour profile; "" when unknown.
        perceptual_hash: 64 bits in 16 hexadecimal digits, close for pictures that look alike; ""
            when unknown, and for pictures of one shade.
    """

    id: str
    uri: str
    stamp: Stamp | None = None
    digest: str = ""
    media: str = ""
    width: int = 0
    height: int = 0
    taken_at: datetime | None = None
    caption: str = ""
    tags: tuple[str, ...] = ()
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    parts: tuple[Part, ...] = (WHOLE,)
    away: bool = False
    pixels: str = ""
    perceptual_hash: str = ""

    @property
    def root(self) -> str:
        """Name of the root the record lies under; "" for a URL."""
        return "" if "://" in self.uri else self.uri.partition("/")[0]

    @property
    def relative_path(self) -> str:
        """Path below the root, with forward slashes; the whole URI for a URL."""
        return self.uri if "://" in self.uri else self.uri.partition("/")[2]

    @property
    def is_video(self) -> bool:
        """Whether its file is a video; a photo with a moving part is not."""
        return self.media.startswith("video/")

    @property
    def shots(self) -> tuple[Part, ...]:
        """Its parts that are shots of a video, in order of time; none for an image."""
        return tuple(part for part in self.parts if part.kind == "shot")

    @property
    def folder(self) -> str:
        """`relative_path` without the file name; "" at the top of the root."""
        return self.relative_path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """File name, with its ending."""
        return self.uri.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Known:
    """What an engine already holds of one record: enough to tell whether its file changed."""

    id: str
    uri: str
    stamp: Stamp | None
    digest: str


@dataclass(frozen=True, slots=True)
class Space:
    """An embedding space. Vectors of different spaces are never compared.

    Attributes:
        fingerprint: hash of what defines the space: the image tower and its preprocessing.
        dim: length of its vectors.
        model: the name to show.
    """

    fingerprint: str
    dim: int
    model: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: upright sRGB in mode "RGB", possibly smaller than the original.
        width: of the original, upright, in pixels.
        height: of the original, upright, in pixels.
        media: media type of the content, such as "image/jpeg".
        notes: what was done or seen on the way that its owner may want to know.
        exif: the EXIF block of the file, from its TIFF header on; b"" for none.
        xmp: the XMP packet of the file; b"" for none.
        iptc: the IPTC-IIM block of the file; b"" for none.
        texts: what else is written in it, by keyword, in UTF-8 or an unknown encoding: the texts
            of a PNG, and as "Comment" the comment of a JPEG or GIF.
        profile: the name of the colour profile that its colours were converted from; "" for none.
    """

    pixels: Image.Image
    width: int
    height: int
    media: str
    notes: tuple[str, ...] = ()
    exif: bytes = field(default=b"", repr=False)
    xmp: bytes = field(default=b"", repr=False)
    iptc: bytes = field(default=b"", repr=False)
    texts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    profile: str = ""
