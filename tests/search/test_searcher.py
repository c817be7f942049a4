"""Several things at once, exclusion, strength, grouping, sorting and pages, by the facade."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pixseek
from pixseek.demo.picture_library import write_picture_library
from pixseek.errors import ImageError, QueryError
from pixseek.library.model import LibraryModel
from pixseek.search import ranked_list
from pixseek.search.background import Background
from pixseek.types import Compare, Query, Region, Term

from tiny_encoder import COLOURS, TinyEncoder, draw


def paint(path: Path, *colours: str, seed: int = 0) -> Path:
    """Write an image of vertical stripes, with a little noise of its own."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((40, 40, 3), np.int16)
    wide = 40 // len(colours)
    for n, colour in enumerate(colours):
        pixels[:, n * wide : (n + 1) * wide if n + 1 < len(colours) else 40] = COLOURS[colour]
    pixels += rng.integers(-12, 12, pixels.shape, dtype=np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def fill(folder: Path) -> Path:
    """Draw sixty pictures: ten of each of three colours, ten of each two of them side by side."""
    for n in range(10):
        for one in ("red", "green", "blue"):
            paint(folder / "plain" / f"p{n}-{one[0]}.png", one, seed=n)
        for first, second in (("red", "green"), ("green", "blue"), ("blue", "red")):
            paint(folder / "striped" / f"s{n}-{first[0]}{second[0]}.png", first, second, seed=n)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixseek.Library]:
    folder = tmp_path_factory.mktemp("searched")
    encoder = TinyEncoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
        patch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
        opened = pixseek.open(folder / "photos.lib")
        opened.index(fill(folder / "pictures"))
    with opened:
        yield opened


@pytest.fixture
def library(shared: pixseek.Library, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """The pictures of `fill`, for tests that change nothing: they share it."""
    before = shared.version()
    yield shared
    assert shared.version() == before, "this test writes: it must take `own`"


@pytest.fixture
def own(tmp_path: Path, tiny: TinyEncoder) -> Iterator[pixseek.Library]:
    """The pictures of `fill`, for a test that changes something."""
    with pixseek.open(tmp_path / "photos.lib") as opened:
        opened.index(fill(tmp_path / "pictures"))
        yield opened


def names(results: pixseek.Results) -> list[str]:
    return [hit.record.name for hit in results]


# ------------------------------------------------------------------ several things


def test_two_terms_find_images_with_both(library: pixseek.Library) -> None:
    found = library.search('"red" "green"', k=10)
    assert all(re.fullmatch(r"s\d-rg.png", name) for name in names(found))
    assert [reason.what for reason in found[0].why] == ["red", "green"]
    assert all(reason.deviations > 0 for reason in found[0].why)


def test_words_and_an_example_count_together(library: pixseek.Library, tmp_path: Path) -> None:
    example = paint(tmp_path / "example.png", "blue", seed=99)
    # A third of these pictures is alike: the example counts twice to make up for it.
    found = library.search(f'red 2*image:"{example}"', k=10)
    assert all(re.fullmatch(r"s\d-br.png", name) for name in names(found))
    assert {reason.kind for reason in found[0].why} == {"text", "image"}
    both = names(library.search("red", image=example, k=10))
    assert names(library.search(f'red image:"{example}"', k=10)) == both
    with Image.open(example) as image:
        assert names(library.search("red", image=image, k=10)) == both


def test_either_of_two_things_is_found(library: pixseek.Library) -> None:
    found = library.search("red OR green", k=60)
    alone = {one: library.search(one, k=60) for one in ("red", "green")}
    best: dict[str, float] = {}
    for each in alone.values():
        for hit in each:
            best[hit.id] = max(best.get(hit.id, -1), hit.score)
    assert {hit.id: hit.score for hit in found} == pytest.approx(best)
    first = names(found)[:20]
    assert sum("-r.png" in name for name in first) == sum("-g.png" in name for name in first) == 10
    assert found.query.terms == (Term("text", "red", alternatives=(Term("text", "green"),)),)
    assert {reason.what for hit in found[:20] for reason in hit.why} == {"red", "green"}
    assert [reason.what for reason in found[0].why] == [
        "red" if "-r.png" in found[0].record.name else "green"
    ]
    pages = [library.search("red OR green", k=7, offset=at) for at in range(0, 60, 7)]
    assert [name for page in pages for name in names(page)] == names(found)
    assert names(library.search("green OR red", k=60)) == names(found)


def test_alternatives_go_with_other_terms_filters_and_exclusion(library: pixseek.Library) -> None:
    # To this encoder stripes have an order: red and green, red and red, blue and red.
    found = names(library.search("(red OR blue) AND (green OR red)", k=30))
    assert {name.partition("-")[2] for name in found} == {"rg.png", "r.png", "br.png"}
    only = library.search("red OR green name:p*", k=60)
    assert all(name.startswith("p") for name in names(only)) and only.total == 30
    for query in ("red OR green -blue", "red OR green NOT blue"):
        excluded = names(library.search(query, k=60))
        assert not any("-b.png" in name for name in excluded)
        assert {name[-5] for name in excluded[:20]} == {"r", "g"}
    example = library.search("blue", k=1)[0].path
    mixed = library.search(f'quagga OR image:"{example}"', k=10)
    assert all(name.endswith("-b.png") for name in names(mixed))
    assert {reason.kind for hit in mixed for reason in hit.why} == {"image"}


def test_alternatives_of_which_one_is_written(own: pixseek.Library) -> None:
    path = next(hit.path for hit in own.search("blue", k=1))
    own.tag(str(path), caption="zebra crossing")
    found = own.search("quagga OR zebra", k=5)
    assert found[0].path == path and found[0].strength == "strong"
    assert found[0].why[-1].what == "caption: zebra"


def test_too_many_alternatives_are_refused(library: pixseek.Library) -> None:
    either = tuple(Term("text", str(n)) for n in range(4))
    with pytest.raises(QueryError, match="Too many alternatives: 25 ways"):
        library.search(Query((Term("text", "a", alternatives=either),) * 2))


@pytest.mark.parametrize("weight", [1e7, 1e308, float("inf"), float("nan"), 10**400])
def test_a_weight_that_would_lose_the_order_is_an_error(
    library: pixseek.Library, weight: float
) -> None:
    with pytest.raises(QueryError, match="weight"):
        library.search(pixseek.Query(terms=(pixseek.Term("text", "red", weight),)))


def test_a_negative_weight_searches_away(library: pixseek.Library) -> None:
    order = names(library.search("red -0.9*green", k=60))
    with_green = [n for n, name in enumerate(order) if "rg" in name]
    without = [n for n, name in enumerate(order) if "br" in name]
    assert max(without) < min(with_green)


def test_a_rectangle_of_an_example_is_searched_with(
    library: pixseek.Library, tmp_path: Path
) -> None:
    example = paint(tmp_path / "two.png", "green", "blue", seed=99)
    for region in (Region(0, 0, 0.5, 1), Region(0, 0, 20, 40)):
        found = library.search(image=example, region=region, k=5)
        assert all(name.endswith("-g.png") for name in names(found)), region
    assert names(library.search(f'image:"{example}"@0.5,0,0.5,1', k=5)) == names(
        library.search(image=example, region=Region(20, 0, 20, 40), k=5)
    )
    stored = library.search('name:="s0-gb.png"', k=1)[0].id
    found = library.search(Query((Term("id", stored, region=Region(0, 0, 0.5, 1)),), k=5))
    assert all(name.endswith("-g.png") for name in names(found))
    with pytest.raises(QueryError, match="lies outside"):
        library.search(image=example, region=Region(100, 0, 20, 40))
    for side in (1e308, 10**400, float("inf"), float("nan")):
        with pytest.raises(QueryError, match="rectangle"):
            Region(0, 0, side, 40)


def test_an_example_that_is_not_an_image_is_named(library: pixseek.Library, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a lake")
    with pytest.raises(ImageError, match=r"not an image: .*labels\.txt") as caught:
        library.search(image=tmp_path / "labels.txt")
    assert caught.value.reason == "not-an-image"


def test_an_example_may_be_a_url(library: pixseek.Library, tmp_path: Path) -> None:
    paint(tmp_path / "web" / "blue.png", "blue", seed=5)
    (tmp_path / "web" / "page.png").write_text("<html>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "web"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server,
        pixseek.open(library.path, allow_private=True) as near,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert names(near.search(image=f"{url}/blue.png", k=1))[0].endswith("-b.png")
        assert names(near.search(f"image:{url}/blue.png", k=1))[0].endswith("-b.png")
        with pytest.raises(QueryError, match=r"(?s)can't be fetched.*--allow-private"):
            library.search(image=f"{url}/blue.png")
        with pytest.raises(QueryError, match=r"can't be fetched.*\n.*name the file"):
            near.search(image=f"{url}/nothing.png")
        with pytest.raises(ImageError):
            near.search(image=f"{url}/page.png")
        server.shutdown()
    with (
        pixseek.open(library.path, offline=True) as offline,
        pytest.raises(QueryError, match="offline"),
    ):
        offline.search(image="http://example.org/a.png")


def test_more_like_one_hit_and_less_like_another(library: pixseek.Library) -> None:
    plain = library.query("red", k=60)
    ids = {hit.record.name: hit.id for hit in library.search(plain)}
    refined = plain.refined(liked=[ids["s0-br.png"]], disliked=[ids["s0-rg.png"]])
    order = names(library.search(refined))
    assert "s0-br.png" not in order  # the question is not an answer
    blue, green = (
        np.mean([n for n, name in enumerate(order) if kind in name]) for kind in ("-br", "-rg")
    )
    assert blue < green


# ------------------------------------------------------------------ exclusion


def test_excluded_terms_remove_images(library: pixseek.Library, tmp_path: Path) -> None:
    for query in ("red -green", "red -image:" + str(paint(tmp_path / "g.png", "green", seed=50))):
        found = names(library.search(query, k=60))
        assert found[:10] == sorted(found[:10], key=lambda name: not name.endswith("-r.png"))
        assert not [name for name in found if name.endswith("-g.png")], query
    plain = names(library.search("red", exclude=["green"], k=60))
    assert plain == names(library.search("red -green", k=60))
    own = library.search("red", k=1)[0].id
    assert own not in [hit.id for hit in library.search(f"red -id:{own}", k=60)]


def test_a_caption_with_the_excluded_words_removes_an_image(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    for n in range(6):
        paint(tmp_path / "p" / f"{n}.png", "red", seed=n)
    (tmp_path / "p" / "3.txt").write_text("a wombat")
    with pixseek.open(tmp_path / "l") as library:
        library.index(tmp_path / "p")
        assert "3.png" in names(library.search("red"))
        assert "3.png" not in names(library.search("red -wombat"))


# ------------------------------------------------------------------ strength


def test_strength_separates_shown_things_from_absent_ones(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "p"
    folder.mkdir()
    for n in range(300):  # noise, and five red ones
        pixels = (
            rng.integers(0, 255, (4, 4, 3), np.uint8) if n >= 5 else np.uint8([[[220, 30, 30]]])
        )
        image = Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST)
        image.putpixel((0, 0), (n % 256, n // 256, 0))
        image.save(folder / f"{n}.png")
    with pixseek.open(tmp_path / "l") as library:
        library.index(folder)
        present = library.search("red", text_weight=0)
        assert present.strong >= 5
        assert sorted(names(present)[:5]) == [f"{n}.png" for n in range(5)]
        assert all(hit.strength == "strong" for hit in present[:5])
        assert present.total == 300 and present.looked_at == 300
        absent = library.search("a word nobody drew", text_weight=0)
        assert absent.strong == 0
        assert all(hit.strength != "strong" for hit in absent)
        sure = library.search("red", min_strength="strong", k=100, text_weight=0)
        assert len(sure) == sure.strong == present.strong
        assert {hit.probability for hit in present} == {None}  # it was not measured


def test_sorting_keeps_only_strong_and_likely_hits(
    library: pixseek.Library, tmp_path: Path
) -> None:
    found = library.search("red", sort="name", k=60)
    assert names(found) == sorted(names(found))
    assert all(hit.strength != "weak" for hit in found)
    everything = library.search("width:>0", sort="largest", k=60)
    sizes = [hit.record.stamp.size for hit in everything if hit.record.stamp]
    assert sizes == sorted(sizes, reverse=True)
    # Drawn pictures have no date, so the time of their file orders them.
    oldest = library.search("width:>0", sort="oldest", k=60)
    times = [hit.record.stamp.mtime_ns for hit in oldest if hit.record.stamp]
    assert {hit.record.taken_at for hit in oldest} == {None}
    assert len(times) == 60
    assert times == sorted(times)


# ------------------------------------------------------------------ texts of images


def test_captions_find_images_the_model_does_not_understand(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    for n, colour in enumerate(["red", "green", "blue", "white", "black"] * 4):
        paint(tmp_path / "p" / f"{n}.png", colour, seed=n)
    (tmp_path / "p" / "7.txt").write_text("our wombat Bruno in the garden")
    with pixseek.open(tmp_path / "l") as library:
        library.index(tmp_path / "p")
        best = library.search("wombat Bruno", k=3)[0]
        assert best.record.name == "7.png"
        written = best.why[-1]
        assert (written.kind, written.what) == ("words", "caption: wombat, bruno")
        assert written.score == pytest.approx(1, abs=0.05)
        assert best.strength == "strong"
        assert library.search("wombat Bruno", k=3, text_weight=0)[0].why[-1].kind == "text"


# ------------------------------------------------------------------ grouping, variety, pages


def test_near_duplicates_are_shown_once_with_their_number(
    tmp_path: Path, tiny: TinyEncoder
) -> None:
    view = Image.effect_mandelbrot((200, 150), (-2, -1, 1, 1), 40).convert("RGB")
    view = Image.blend(view, Image.linear_gradient("L").resize((200, 150)).convert("RGB"), 0.4)
    (tmp_path / "p").mkdir()
    for n in range(3):  # a burst: the camera moved
        view.crop((n, n, 190 + n, 145 + n)).save(tmp_path / "p" / f"burst-{n}.png")
    view.crop((0, 0, 190, 145)).resize((95, 72)).save(tmp_path / "p" / "small.png")
    for n in range(4):  # pages that say different things
        draw(tmp_path / "p" / f"page-{n}.png", "white", seed=n)
    shutil.copy(tmp_path / "p" / "page-0.png", tmp_path / "p" / "page-0-copy.png")
    with pixseek.open(tmp_path / "l") as library:
        library.index(tmp_path / "p")
        found = library.search("white", group=True, text_weight=0, min_strength="weak")
        pages = [hit for hit in found if hit.record.name.startswith("page")]
        assert sorted(len(hit.duplicates) for hit in pages) == [0, 0, 0, 1]
        assert [len(hit.duplicates) for hit in found if hit not in pages] == [3]
        assert len({hit.id for hit in found} | {i for h in found for i in h.duplicates}) == 9
        assert len(library.search("white", text_weight=0, min_strength="weak")) == 9
        # A page of hits at a time, and nothing is shown twice.
        one_by_one = [
            hit.id
            for n in range(5)
            for hit in library.search(
                "white", k=1, offset=n, group=True, text_weight=0, min_strength="weak"
            )
        ]
        assert one_by_one == [hit.id for hit in found]


def test_variety_shows_different_images_early(library: pixseek.Library) -> None:
    plain = names(library.search("red", k=60, text_weight=0))
    varied = names(library.search("red", k=60, variety=0.5, text_weight=0))
    assert varied[0] == plain[0]
    assert sorted(varied) == sorted(plain)
    kinds = lambda order: {name.partition("-")[2] for name in order[:5]}  # noqa: E731
    assert len(kinds(varied)) > len(kinds(plain))


@pytest.mark.parametrize(
    "query",
    ["red", '"red" "green"', "red -green", "width:>0", "red tag:none OR width:>0"],
)
@pytest.mark.parametrize("options", [{}, {"group": True}, {"variety": 0.3}, {"sort": "name"}])
def test_pages_hold_every_hit_once(
    library: pixseek.Library, query: str, options: dict[str, object]
) -> None:
    whole = [hit.id for hit in library.search(query, k=60, **options)]
    assert len(set(whole)) == len(whole) > 0
    pages = [
        [hit.id for hit in library.search(query, k=7, offset=at, **options)]
        for at in range(0, len(whole) + 7, 7)
    ]
    assert [each for page in pages for each in page] == whole
    ranks = [hit.rank for hit in library.search(query, k=7, offset=2, **options)]
    assert ranks == list(range(3, 3 + len(ranks)))


def test_pages_reach_beyond_the_first_candidates(tmp_path: Path, tiny: TinyEncoder) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2500, 48)).astype(np.float32)
    uris = np.array([f"https://e.org/{n}.jpg" for n in range(2500)])
    np.savez(tmp_path / "v.npz", uri=uris, vectors=rows)
    with pixseek.open(tmp_path / "l") as library:
        library.import_vectors(tmp_path / "v.npz")
        whole = [hit.id for hit in library.search('"red" "blue"', k=2500)]
        assert len(set(whole)) == 2500
        for at in (0, 990, 2490):
            page = [hit.id for hit in library.search('"red" "blue"', k=10, offset=at)]
            assert page == whole[at : at + 10]


def test_all_likely_hits_are_sorted_however_many(
    tmp_path: Path, tiny: TinyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 48)).astype(np.float32) / 7
    rows[:1600] += tiny.encode_texts(["red"])[0] * rng.uniform(0.5, 1.5, (1600, 1))
    uris = np.array([f"https://e.org/{n * 7919 % 3000:04}.jpg" for n in range(3000)])
    np.savez(tmp_path / "v.npz", uri=uris, vectors=rows)
    with pixseek.open(tmp_path / "l") as library:
        library.import_vectors(tmp_path / "v.npz")
        for query in ("red", "red -blue"):
            likely = library.search(query, k=3000, min_strength="likely")
            assert len(likely) > 1500  # more than are looked at first
            first = [hit.id for hit in sorted(likely, key=lambda hit: hit.record.name)]
            whole = library.search(query, k=3000, sort="name")
            assert [hit.id for hit in whole] == first
            assert (whole.likely, whole.warnings) == (len(first), ())
            page = library.search(query, k=5, offset=1200, sort="name")
            assert [(hit.rank, hit.id) for hit in page] == [*enumerate(first, 1)][1200:1205]
            assert page[0] == library.hit(first[1200], library.query(query, sort="name"))
            assert library.layout(query, sort="name").ids == tuple(first)
            assert library.layout(query, sort="name", group=True).ids == tuple(first)
            assert library.layout(query, sort="name", most=3).ids == tuple(first[:3])
        monkeypatch.setattr(ranked_list, "MOST", 2000)
        best = library.search("red", k=2000, min_strength="weak")
        some = library.search("red", k=2000, sort="name", min_strength="weak")
        assert {hit.id for hit in some} == {hit.id for hit in best}
        listed = library.layout("red", sort="name", min_strength="weak")
        assert listed.ids == tuple(hit.id for hit in some)
        for found in (some, listed):
            assert found.warnings[0].startswith("Only the 2,000 best matches are sorted")


def test_a_selective_filter_loses_nothing(tmp_path: Path, tiny: TinyEncoder) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 48)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    uris = np.array([f"https://e.org/{n:04}.jpg" for n in range(3000)])
    np.savez(tmp_path / "v.npz", uri=uris, vectors=rows)
    with pixseek.open(tmp_path / "l") as library:
        library.import_vectors(tmp_path / "v.npz")
        where = Compare("uri", "glob", "*7?3.jpg")
        found = library.search("red", k=3000, where=where, text_weight=0)
        chosen = [n for n in range(3000) if re.search(r"7.3$", f"{n:04}")]
        scores = rows[chosen] @ tiny.encode_texts(["red"])[0]
        expected = [f"https://e.org/{chosen[i]:04}.jpg" for i in np.argsort(-scores)]
        assert [hit.uri for hit in found] == expected
        assert found.total == len(chosen)


# ------------------------------------------------------------------ facets, backgrounds


def test_facets_count_matching_images(library: pixseek.Library) -> None:
    counts = library.facets(library.query("width:>0"))
    assert counts["folder"] == {"pictures/plain": 30, "pictures/striped": 30}
    assert counts["format"] == {"PNG": 60}
    assert counts["colour"]["red"] == 30
    some = library.facets(library.query("red"))
    assert sum(some["folder"].values()) == library.search("red").likely


def test_backgrounds_are_made_once_and_kept(own: pixseek.Library, tiny: TinyEncoder) -> None:
    (of_images,) = own.path.glob("background-*")
    (of_texts,) = (own.config.models_dir / "converted").glob("background-*")
    before = own.search("red", k=60)
    for path in (of_images, of_texts):
        path.write_bytes(b"damaged")
    with pixseek.open(own.path) as again:
        after = again.search("red", k=60)
    assert [(h.id, h.strength, h.why) for h in after] == [(h.id, h.strength, h.why) for h in before]


def test_the_threshold_of_near_duplicates_is_learned(tiny: TinyEncoder, tmp_path: Path) -> None:
    from pixseek.search.background_store import duplicate_cosine

    pictures = []
    for n, colour in enumerate(("red", "green", "blue", "white")):
        with Image.open(paint(tmp_path / f"{n}.png", colour, "black", seed=n)) as image:
            pictures.append(image.convert("RGB"))
    assert 0.9 <= duplicate_cosine(tiny, pictures) < 0.996


def test_the_background_of_images_is_that_of_the_library(own: pixseek.Library) -> None:
    kept = LibraryModel(own.opened, None).backgrounds()
    rows = own.opened.engine.sample(100)
    again = Background.of(rows)
    assert kept.images.mean == pytest.approx(again.mean, abs=1e-6)


def test_words_unknown_to_the_model_match_nothing(tmp_path: Path) -> None:
    write_picture_library(tmp_path / "pictures", 40)
    with pixseek.open(tmp_path / "library", model="demo") as library:
        library.index(tmp_path / "pictures")
        unknown = library.search("a bicycle")
        assert (unknown.strong, unknown.likely) == (0, 0)
        assert unknown.hits, "the nearest are shown anyway"
        assert "The model does not know: bicycle" in unknown.warnings
        assert not library.search("a cup on the table").likely, "it knows only a, on and the"
        partly = library.search("a big red bicycle")
        assert "The model does not know: bicycle" in partly.warnings
        known = library.search("a boat")
        assert known.strong and not any("know:" in each for each in known.warnings)
        # Unknown words exclude nothing, except images whose texts contain them.
        assert len(library.search("a boat -bicycle", k=40)) == len(library.search("a boat", k=40))
