"""How well text in pictures is read, and what it does to searches.

    python benchmarks/text_in_pictures.py [--pictures N] [--sides | --photos DIR --model DIR]

Draws signs, receipts and screenshots whose words are known, reads them as `pixseek index --ocr`
does, and prints the share of the words that were read (recall) and of those read that stand there
(precision), with the seconds of processor time a picture takes. `--sides` compares the sizes at
which lines are looked for. With a folder of photos and their `captions.tsv` it indexes them with
the drawn pictures, without and with `--ocr`, and searches for words in pictures and for captions.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixseek.engines.words import words
from pixseek.images import ocr
from pixseek.types import Picture

#: Fonts of Debian's fonts-dejavu; without them Pillow's own, which has few accents.
FONTS = Path("/usr/share/fonts/truetype/dejavu")
NAMES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "DejaVuSansCondensed")

SIGNS = """
NOTAUSGANG|Bäckerei Schröder|Emergency Exit|Gleis 7|Platform 12|Öffnungszeiten Mo-Fr 9-17|No Parking
Straße gesperrt|Rathaus|Fish and Chips|Größe 42|Museum für Naturkunde|Caution Wet Floor|Bücherei
Fußgängerzone|Main Street|Zimmer frei|Sale 50%|Kühlregal|Please ring the bell|Hauptbahnhof|Pharmacie
""".replace("\n", "|")
GOODS = """
Milch 1,5%|Brötchen|Käse Gouda|Äpfel Boskoop|Olive oil|Sparkling water|Müsli|Coffee beans|Möhren
Toothpaste|Butter|Nudeln|Tomaten|Chocolate|Rote Grütze|Washing powder|Weißwein|Batteries AA
""".replace("\n", "|")
SHOPS = ("Supermarkt Lindenhof", "Corner Shop", "Drogerie Krüger", "City Market", "Bio Laden Grün")
LINES = """
Settings > Network > Proxy|Error 0x80070057: The parameter is incorrect|Download finished
Meeting moved to Thursday 14:30|Your parcel arrives tomorrow|Passwort zurücksetzen
Order confirmation 48213|Wähle ein Gerät aus|Battery low: 12% remaining|Reise nach Zürich
Invoice due 2026-03-31|git commit -m "fix typo"|Terms and conditions|Speichern unter ...
""".replace("\n", "|")


class Drawn(NamedTuple):
    """A picture with the lines that stand in it."""

    kind: str
    image: Image.Image
    lines: tuple[str, ...]


def drawn(count: int, seed: int = 0) -> Iterator[Drawn]:
    """Yield pictures, a sign, a receipt and a screenshot in turn, the same every time."""
    draw = random.Random(seed)
    for number in range(count):
        yield (sign, receipt, screenshot)[number % 3](draw)


def font(draw: random.Random, size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    path = FONTS / f"{draw.choice(NAMES)}.ttf"
    return ImageFont.truetype(path, size) if path.is_file() else ImageFont.load_default(size)


def some(draw: random.Random, text: str, count: int) -> list[str]:
    return draw.sample([each for each in text.split("|") if each], count)


def sign(draw: random.Random) -> Drawn:
    """A sign in a photo: text of any size, strong or faint, turned and blurred."""
    lines = some(draw, SIGNS, 2)
    shade = draw.randrange(40, 216)
    image = Image.effect_noise((1600, 1200), 40).convert("RGB")
    back = (shade, draw.randrange(256), draw.randrange(40, 216))
    light = (0.3 * back[0] + 0.6 * back[1] + 0.1 * back[2]) > 128
    far = draw.choice((70, 120, 200))
    ink = tuple(max(0, min(255, each - far if light else each + far)) for each in back)
    board = Image.new("RGB", (1100, 420), back)
    pen = ImageDraw.Draw(board)
    for row, line in enumerate(lines):
        pen.text((50, 60 + 170 * row), line, fill=ink, font=font(draw, draw.randrange(24, 84)))
    turned = board.convert("RGBA").rotate(draw.uniform(-12, 12), expand=True, resample=3)
    image.paste(turned, (draw.randrange(300), draw.randrange(400)), turned)
    return Drawn("sign", image.filter(ImageFilter.GaussianBlur(draw.uniform(0, 2.5))), tuple(lines))


def receipt(draw: random.Random) -> Drawn:
    """A receipt in a photo of 12 megapixels: grey print with numbers, part of the picture."""
    total, lines = 0, [draw.choice(SHOPS)]
    for good in some(draw, GOODS, 8):
        cents = draw.randrange(49, 1999)
        total += cents
        lines.append(f"{good}  {cents // 100},{cents % 100:02}")
    lines += [f"Summe EUR  {total // 100},{total % 100:02}", f"Bon-Nr. {draw.randrange(10**5)}"]
    paper = Image.new("RGB", (620, 60 + 52 * len(lines)), (244, 242, 236))
    pen, face = ImageDraw.Draw(paper), font(draw, 28)
    for row, line in enumerate(lines):
        pen.text((30, 30 + 52 * row), line, fill=(draw.randrange(60, 170),) * 3, font=face)
    image = Image.new("RGB", (3000, 4000), (120, 84, 52))
    large = paper.resize((paper.width * 2, paper.height * 2), Image.Resampling.BICUBIC)
    turned = large.convert("RGBA").rotate(draw.uniform(-6, 6), expand=True, resample=3)
    image.paste(turned, (draw.randrange(1200), draw.randrange(1600)), turned)
    return Drawn("receipt", image.filter(ImageFilter.GaussianBlur(2)), tuple(lines))


def screenshot(draw: random.Random) -> Drawn:
    """A screenshot of 1,920 x 1,080: sharp text of the sizes of a user interface."""
    dark = draw.random() < 0.5
    image = Image.new("RGB", (1920, 1080), (30, 30, 34) if dark else (250, 250, 250))
    pen, lines = ImageDraw.Draw(image), some(draw, LINES, 9)
    for row, line in enumerate(lines):
        ink = (225, 225, 225) if dark else (draw.randrange(30, 110),) * 3
        at = (draw.choice((40, 320)), 40 + 108 * row)
        pen.text(at, line, fill=ink, font=font(draw, draw.choice((12, 14, 18, 24))))
    return Drawn("screenshot", image, tuple(lines))


def tokens(lines: Sequence[str]) -> Counter[str]:
    """Return the words of lines as they are searched."""
    return Counter(word for line in lines for word in words(line))


def measure(pictures: Sequence[Drawn]) -> dict[str, tuple[float, float, float]]:
    """Return by kind: recall and precision of words, and seconds of processor time a picture."""
    reader = ocr.TextReader(2)
    reader.read(Picture(Image.new("RGB", (64, 64)), 64, 64, ""))  # loads the models

    def read(each: Drawn) -> tuple[Drawn, list[str], float]:
        began = time.process_time()
        found = reader.read(Picture(each.image, *each.image.size, "image/png"))
        return each, [line.text for line in found.lines], time.process_time() - began

    return shares(map(read, pictures))


def shares(
    pictures: Iterable[tuple[Drawn, Sequence[str], float]],
) -> dict[str, tuple[float, float, float]]:
    """Return the same as `measure`, of pictures with the lines read in them and the seconds."""
    sums: dict[str, list[float]] = {}
    for each, lines, took in pictures:
        wanted, read = tokens(each.lines), tokens(lines)
        both = (wanted & read).total()
        totals = sums.setdefault(each.kind, [0.0] * 5)
        for at, more in enumerate((both, wanted.total(), read.total(), took, 1)):
            totals[at] += more
    return {
        kind: (both / wanted, both / read if read else 0.0, took / count)
        for kind, (both, wanted, read, took, count) in sums.items()
    }


def write(found: dict[str, tuple[float, float, float]], side: int) -> None:
    for kind, (recall, precision, took) in found.items():
        print(f"{side}  {kind:<11} recall {recall:.3f}  precision {precision:.3f}  {took:.2f} s")


def searches(pictures: Sequence[Drawn], photos: Path, model: Path, most: int) -> None:
    """Print what searches find, without and with the text in pictures, among `most` photos."""
    import shutil

    import pixseek

    captions = [line.split("\t") for line in (photos / "captions.tsv").read_text().splitlines()]
    names = sorted({name for name, *_ in captions if (photos / name).is_file()})[:most]
    asked = [(name, text.replace('"', " ")) for name, text, *_ in captions if name in names][::5]
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "all"
        folder.mkdir()
        for name in names:
            shutil.copy(photos / name, folder)
        wanted: list[tuple[str, str]] = []
        for number, each in enumerate(pictures):
            name = f"{number:03}-{each.kind}.jpg"
            each.image.save(folder / name, quality=88)
            own = [word for word in tokens(each.lines) if len(word) > 1]
            wanted += [(name, " ".join(draw.sample(own, 2))) for _ in range(3)]
        with pixseek.open(Path(place) / "library", model=model) as library:
            for how in (False, True):
                began = time.process_time()
                library.index(folder, ocr=how)
                took = time.process_time() - began
                print(f"ocr {how!s:<5} indexing took {took:.0f} s of processor time", flush=True)
                for kind, queries in (("words", wanted), ("captions", asked)):
                    answers = library.search_many([f'"{text}"' for _, text in queries], k=10)
                    first, ten = (
                        sum(
                            name in [hit.record.name for hit in found[:k]]
                            for (name, _), found in zip(queries, answers, strict=True)
                        )
                        / len(queries)
                        for k in (1, 10)
                    )
                    print(
                        f"ocr {how!s:<5} {kind:<8} recall@1 {first:.3f}  recall@10 {ten:.3f}  "
                        f"({len(queries)} queries)",
                        flush=True,
                    )
            read = [hit.record for hit in library.search("has:seen", k=5000)]
            print(f"text in {sum(record.name in names for record in read)} of {len(names)} photos")
            for record in read:
                if record.name in names:
                    print("  ", record.name, repr(record.fields["text_seen"]))
            said = {record.name: str(record.fields["text_seen"]).split("\n") for record in read}
            write(
                shares(
                    (each, said.get(f"{n:03}-{each.kind}.jpg", []), 0.0)
                    for n, each in enumerate(pictures)
                ),
                ocr.LOOK_SIDE,
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pictures", type=int, default=36)
    parser.add_argument("--sides", action="store_true")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--most", type=int, default=1000, help="photos that are indexed")
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    pictures = list(drawn(given.pictures))
    if given.photos:
        searches(pictures, given.photos, given.model, given.most)
        return
    for side in (960, 1_280, 1_600) if given.sides else (ocr.LOOK_SIDE,):
        ocr.LOOK_SIDE = side
        write(measure(pictures), side)


if __name__ == "__main__":
    main()
