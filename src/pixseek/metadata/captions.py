"""Tell what people write about an image from what cameras, programs and datasets write there."""

from __future__ import annotations

import re

# Defaults of cameras and phones, each the whole text.
_CAMERAS = (
    r"(?:[\w.,&+-]+ ){0,6}?(?-i:DIGITAL|Digital) (?-i:STILL ?|Still ?)?(?-i:CAMERA|Camera)",
    r"(?:SONY|(?:KONICA )?MINOLTA) DSC",
    r"DCIM(?:[\\/].*)?",
    r"<(?:Digimax|KENOX|SAMSUNG|MENU)[^>]*>?|(?:Digimax|KENOX)[^>]*",
    r"SAMSUNG(?: CAMERA PICTURES)?|MY BEAUTIFUL PICTURE|DVC \d+(?:\.\d+)? HDMI",
    r"(?:oplus|oppo|oneplus|realme|vivo|xiaomi|redmi|honor|huawei|heytap)_-?\d{1,12}",
    r"Exif[ _-]?JPEG(?:[ _-](?:PICTURE|4\d\d))?",
    r"\[#Beginning of Shooting Data Section\].*",
)

# Programs and formats.
_PROGRAMS = (
    r"default|<?untitled>?|undefined|null|\(null\)|ASCII|UNICODE|JIS|UTF-?8|x-default|charset=.*|"
    r"binary comment|user ?comments?|JFIF|xr:d:.*|FBMD[0-9a-f]{6,}.*|"
    r"LEAD Technologies.*|AppleMark|iClarified|ImageJ=.*",
    r"\{\s*[\"'}].*|\[\s*\{.*|<\?xml.*",
    r"(?:[\w:]{1,15} ){0,4}(?:https?://)?(?:www\.)?(?:gd-jpeg|Lavc\d|GIMP|Inkscape|ImageMagick|"
    r"GraphicsMagick|Adobe (?:Photoshop|ImageReady|Fireworks|Illustrator)|Paint\.NET|"
    r"Paint ?Shop Pro|Pixelmator|Canva\b|ezgif|ScreenToGif|gifmaker|GifBuilder|Gifsicle|"
    r"U-?Lead|GIF (?:Animator|Movie Gear)|OpenJPEG|Kakadu-v\d|JPEGmini|Intel\(R\)|JPEG Encoder|"
    r"jpeg-recompress|ACD Systems|Handmade Software|IrfanView|XnView|Matplotlib|Picasa).*",
    # "Processed with VSCO with a6 preset", but not "processed with care".
    r"(?:(?:photo|image|picture|file) )?(?:processed|edited|created|made|generated|taken|captured|"
    r"shot|exported|scanned|rendered|saved|optimi[sz]ed|compressed|converted|produced|enhanced|"
    r"filtered|developed|written|powered) (?:with|by|in|using|from|on|via|through) (?:the )?"
    r"(?:VSCO|VSCOcam|Snapseed|PicsArt|Instagram|Hipstamatic|Google AI|Google Photos|Lightroom|"
    r"Adobe [A-Z]\w+|darktable|RawTherapee|digiKam|Luminar|Affinity Photo|Capture One|PhotoScape|"
    r"Photoshop|Imlib|ffmpeg|Meitu|B612|BeautyPlus|Snapchat|Camera360|FaceApp|Lensa|Pixlr|Polarr|"
    r"Prisma|Afterlight|Skitch|Snagit|CorelDRAW|MS Paint|Krita|Blender|PhotoFiltre|MOLDIV|"
    r"Repix|Camera\+|Snapbucket|RNI Films|Zoner|ACDSee|Remini|BeFunky|Fotor|InShot|CapCut)"
    r"(?: [\w.]+){0,2}(?:(?: with)? [\w-]+ (?:preset|filter)s?)?(?: for \w+)?"
    r"(?:\.? Preset .{1,60})?[.!]?",
)
_DEFAULTS = "|".join((*_CAMERAS, *_PROGRAMS))

# What says nothing as a caption: names of files, empty words, identifiers.
_EMPTY = (
    r"(?:MV)?(?:IMG|DSC[FN]?|PICT|PXL|SAM|SDC|DCP|CIMG|IMGP|_?MG|_DSC|GOPR|DJI|HPIM|VID)"
    r"[_-]?\d{3,}[\w-]{0,20}(?:\.(?:jpe?g|heic|dng))?|P\d{7}(?:\.jpe?g)?|"
    r"(?=[^.]*\d{3})[\w-]{1,80}\.(?:jpe?g|png|heic|tiff?|dng|gif|webp|bmp)|"
    r"(?:(?:Picture|Image|Photo|Scan)[ _-]?0\d{1,5}|Untitled[ _-]?\d{1,3}|"
    r"Screen ?shot[ _-]\d{4}[-_.]?\d\d[-_.]?\d\d[-\d _.]*)(?:\.(?:jpe?g|png|tiff?))?|"
    r"n/a|none|maker:\w*|\(?no (?:caption|comment|description|title)\)?|[!-/:-@\[-`{-~\s]*|"
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32,}"
)

# Settings of a camera's program, as phones write them: "filter: 0; fileterIntensity: 0.0; ...".
_SETTING = re.compile(r"\s*([A-Za-z][\w-]{0,40})\s?[:=]\s?([^;]{0,200})(?:;|\Z)")
_OF_PHONES = frozenset(
    "filter fileterIntensity filterMask captureOrientation hw-remosaic modeInfo sceneMode "
    "cct_value AI_Scene aec_lux aec_lux_index motionLevel weatherinfo".split()
)
_MACHINE = re.compile(r"[-\d.,\sx]*|true|false|null|none|\(.*\)|\[.*\]", re.IGNORECASE)

_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def is_default(text: str) -> bool:
    """Return whether a camera or program wrote a text by itself, in any field."""
    return re.fullmatch(_DEFAULTS, text, re.IGNORECASE | re.DOTALL) is not None


def is_caption(text: str) -> bool:
    """Return whether a person may have written a text about an image.

    False for defaults, names of files, settings and label files.
    """
    is_empty = re.fullmatch(_EMPTY, text, re.IGNORECASE)
    return not (is_empty or is_default(text) or _is_settings(text) or _is_labels(text))


def _is_settings(text: str) -> bool:
    """Return whether a text is a list of names with values, most of which no person writes."""
    if ":" not in text[:60] and "=" not in text[:60]:
        return False
    at, names, values = 0, list[str](), list[str]()
    while (found := _SETTING.match(text, at)) and found.end() > at:
        names.append(found[1])
        values.append(found[2].strip())
        at = found.end()
    by_machine = sum(_MACHINE.fullmatch(value) is not None for value in values)
    least = 3 if _OF_PHONES.isdisjoint(names) else 1
    return len(values) >= least and by_machine * 2 >= len(values)


def _is_labels(text: str) -> bool:
    """Return whether a text is a file of labels for training: boxes, polygons, key points.

    YOLO: "0 0.51 0.48 0.2 0.3"; KITTI: "Car 0.00 0 -1.57 614.24 ..."; DOTA and ICDAR: eight corners
    and a name.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("imagesource:"):
        lines = [line for line in lines if not line.startswith(("imagesource:", "gsd:"))]
    if lines and lines[0].strip() == str(len(lines) - 1):
        lines = lines[1:]  # how many there are
        return bool(lines) and all(_is_label(line, whole=True) for line in lines)
    return bool(lines) and all(_is_label(line, whole=len(lines) > 1) for line in lines)


def _is_label(line: str, *, whole: bool) -> bool:
    """Return whether a line is a label; coordinates may be whole numbers if `whole`."""
    words = [word for word in re.split(r"[\s,;]+", line[:5000].strip()) if word]
    numbers = 0
    for at, word in enumerate(words):
        if _NUMBER.fullmatch(word):
            numbers += 1
        elif at:  # a name comes first or last
            break
    rest = len(words) - numbers
    if numbers >= 8:
        return True
    decimals = sum("." in word for word in words[: numbers + 1])
    return numbers >= 4 and rest <= 2 and (whole or decimals >= 2)
