#!/usr/bin/env bash
# ThumbHash: thumbhash 0.1.1 for JavaScript (its author's), thash 1.2.1 and thumbhash-python 1.0.1.
#
# Expected: all three make the same bytes from a picture, and decode these to the same small picture.
# Happens: the bytes are the same, the decoded pictures are not. For a panorama of 100 x 20 the author's
# decoder gives 32 x 5 and both Python packages 32 x 14: they take the aspect ratio from the number of
# waves, of which at least 3 are decoded, and the author's from the smaller number that is written down.
# thash is paler besides: it leaves out the author's factors for the waves and the colours.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, Node.js 20:
#   100 x 75: thumbhash 32 x 23, thumbhash-python 32 x 23, thash 32 x 23; first pixel's green 166, 166, 195
#   100 x 20: thumbhash 32 x 5, thumbhash-python 32 x 14, thash 32 x 14
#
# For pixseek: a placeholder is stretched to the size that the record names, never to its own, and
# the page's decoder gives what the author's gives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check thash==1.2.1 thumbhash-python==1.0.1 \
  pillow==10.4.0
npm install --silent --no-audit --no-fund --prefix . thumbhash@0.1.1 > /dev/null
cat > author.mjs <<'JAVASCRIPT'
import { readFileSync } from "fs";
import { rgbaToThumbHash, thumbHashToRGBA } from "thumbhash";

const asked = JSON.parse(readFileSync(0, "utf8"));
const answer = asked.map(([w, h, rgba]) => {
  const hash = rgbaToThumbHash(w, h, rgba);
  const picture = thumbHashToRGBA(hash);
  return { hash: [...hash], size: [picture.w, picture.h], green: picture.rgba[1] };
});
console.log(JSON.stringify(answer));
JAVASCRIPT
venv/bin/python - <<'PYTHON'
import json
import math
import subprocess

import thash
from thumbhash.decode import thumbhash_to_rgba
from thumbhash.encode import rgba_to_thumbhash


def drawn(w, h):
    """A soft picture, as a list of bytes of RGBA."""
    rgba = []
    for y in range(h):
        for x in range(w):
            waves = (math.sin(x / w * 3 + c) * math.cos(y / h * 2 + c) for c in range(3))
            rgba += [int(127 + 120 * wave) for wave in waves] + [255]
    return rgba


pictures = [(w, h, drawn(w, h)) for w, h in ((100, 75), (100, 20))]
done = subprocess.run(
    ["node", "author.mjs"], input=json.dumps(pictures), capture_output=True, text=True, check=True
)
seen = []
for (w, h, rgba), author in zip(pictures, json.loads(done.stdout)):
    hashed = author["hash"]
    assert list(rgba_to_thumbhash(w, h, rgba)) == hashed == list(thash.rgba_to_thumb_hash(w, h, rgba))
    one, other = thumbhash_to_rgba(bytes(hashed), 32), thash.thumb_hash_to_rgba(hashed)
    seen.append((tuple(author["size"]), one[:2], other[:2], author["green"], one[2][1], other[2][1]))
    print(
        f"{w} x {h}: thumbhash {author['size']}, thumbhash-python {one[:2]}, thash {other[:2]}; "
        f"first pixel's green {author['green']}, {one[2][1]}, {other[2][1]}"
    )
(photo, photo_1, photo_2, green, green_1, green_2), (panorama, *others) = seen
assert photo == photo_1 == photo_2 == (32, 23)
assert abs(green - green_1) <= 1 and green_2 - green > 20, "thash has the author's colours now"
assert panorama == (32, 5) and others[:2] == [(32, 14)] * 2, "panoramas have the same shape now"
PYTHON
