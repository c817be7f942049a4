from pathlib import Path

import pytest
from PIL import Image

from pixseek.cli.terminal_images import Graphics
from pixseek.cli.thumbnails import lay_out, read_thumbnails, write_strip
from pixseek.types import WHOLE, Hit, Query, Record, Results

from tiny_encoder import draw


def shapes(*sizes: tuple[int, int]) -> list[Image.Image | None]:
    return [Image.new("RGB", size, (200, 30, 30)) for size in sizes]


def test_rows_fit_and_keep_the_order() -> None:
    images = shapes(*[(300, 200)] * 7)
    rows = lay_out(range(1, 8), images, width=800, height=100, badges=True)
    assert [rank for row in rows for rank, _ in row.places] == [1, 2, 3, 4, 5, 6, 7]
    assert all(row.image.width <= 800 and row.image.height == 100 for row in rows)
    assert len(rows) == 2


def test_at_most_three_rows() -> None:
    rows = lay_out(range(1, 41), shapes(*[(100, 100)] * 40), width=500, height=100, badges=False)
    assert len(rows) == 3


def test_odd_shapes_are_cropped_and_missing_images_are_grey() -> None:
    images = [*shapes((4000, 100), (10, 900)), None]
    [row] = lay_out((1, 2, 3), images, width=900, height=100, badges=False)
    lefts = [left for _, left in row.places]
    widths = [b - a for a, b in zip(lefts, [*lefts[1:], row.image.width + 5], strict=True)]
    assert max(widths) <= 2.1 * 100
    assert min(widths) >= 0.5 * 100
    grey = row.image.getpixel((lefts[2] + 20, 40))
    assert grey == (128, 128, 128, 255)


def test_a_thumbnail_shrinks_to_a_narrow_terminal() -> None:
    rows = lay_out((1, 2), shapes((400, 100), (400, 100)), width=30, height=100, badges=True)
    assert [row.image.width for row in rows] == [30, 30]


def test_ranks_are_drawn_on_the_thumbnails() -> None:
    plain = lay_out((12,), shapes((100, 100)), width=500, height=100, badges=False)[0].image
    marked = lay_out((12,), shapes((100, 100)), width=500, height=100, badges=True)[0].image
    corner, rest = (0, 0, 40, 30), (50, 40, 95, 95)
    assert plain.crop(corner).tobytes() != marked.crop(corner).tobytes()
    assert plain.crop(rest).tobytes() == marked.crop(rest).tobytes()
    assert max(marked.crop(corner).convert("L").getextrema()) > 220


def hits_of(*paths: Path | None, preview: bytes | None = None) -> Results:
    hits = tuple(
        Hit(rank, Record(str(rank), f"r/{rank}.png"), WHOLE, 0.5, path)
        for rank, path in enumerate(paths, 1)
    )
    there = {hit.id: hit.path for hit in hits if hit.path is not None and hit.path.exists()}
    return Results(
        hits, Query(()), {}, "tiny", stored_preview=lambda *_: preview,
        stored_content=lambda record: there[record.id].read_bytes() if record.id in there else None,
    )  # fmt: skip


def test_the_stored_preview_is_preferred_to_the_file(tmp_path: Path) -> None:
    red, blue = draw(tmp_path / "red.png", "red"), draw(tmp_path / "blue.png", "blue")
    [shown] = read_thumbnails(hits_of(red, preview=blue.read_bytes()), 16)
    assert shown is not None
    red_level, _, blue_level = shown.resize((1, 1)).getpixel((0, 0))
    assert blue_level > red_level
    [gone] = read_thumbnails(hits_of(None, preview=blue.read_bytes()), 16)
    assert gone is not None


def test_unreadable_images_are_none(tmp_path: Path) -> None:
    good = draw(tmp_path / "red.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    found = read_thumbnails(hits_of(good, bad, tmp_path / "gone.png", None), 16)
    assert found[0] is not None and max(found[0].size) == 16
    assert found[1:] == [None, None, None]


def test_thumbnails_grow_to_fill_the_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths: list[Path | None] = [draw(tmp_path / f"{n}.png", seed=n) for n in range(3)]
    how = Graphics("blocks", (1, 2))
    write_strip(hits_of(*paths), how, columns=100, lines=10)
    small = capsys.readouterr().out.splitlines()
    write_strip(hits_of(*paths), how, columns=100, lines=40)
    large = capsys.readouterr().out.splitlines()
    assert small[0].split() == large[0].split() == ["1", "2", "3"]
    assert len(small) == 1 + 10
    assert len(large) > len(small)
