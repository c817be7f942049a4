"""Real videos in a library with photos: moments, frames, clips, tags, copies, exports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pixseek
from films import colour_of, film
from pixseek.cli.clips import export_clips
from pixseek.errors import PixseekError, QueryError, SourceError
from pixseek.types.clock import span

from tiny_encoder import TinyEncoder, draw

pytestmark = pytest.mark.slow
pytest.importorskip("av", reason="av is not installed")

SCENES = (("red", 3.0), ("green", 3.0), ("blue", 3.0), ("red", 3.0))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pixseek.Library]:
    folder = tmp_path_factory.mktemp("films")
    encoder = TinyEncoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixseek.encoders.load", lambda *_, **__: encoder)
        patch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
        for n in range(24):
            draw(folder / "photos" / f"p{n}.png", ("green", "blue", "white")[n % 3], seed=n)
        film(folder / "photos" / "party.mp4", SCENES, gop=10, sound=True)
        film(folder / "photos" / "sea.webm", (("blue", 4.0),), codec="libvpx-vp9")
        shutil.copy(folder / "photos" / "party.mp4", folder / "photos" / "copy of party.mp4")
        with pixseek.open(folder / "films.lib") as opened:
            opened.index(folder / "photos")
            yield opened


def party(library: pixseek.Library, q: str = "red") -> pixseek.Hit:
    (hit,) = library.search(f"{q} name:=party.mp4", k=1)
    return hit


def test_words_find_moments_of_a_real_video(library: pixseek.Library) -> None:
    hit = party(library)
    assert hit.record.is_video and hit.record.fields["duration_s"] == pytest.approx(12, abs=0.2)
    shots = [hit.part, *(each.part for each in hit.moments)]
    assert sorted(round(each.start_s or 0) for each in shots) == [0, 9]
    moments = library.search("red name:=party.mp4", moments=True)
    assert sorted(round(each.part.start_s or 0) for each in moments) == [0, 9]
    assert [round(each.part.start_s or 0) for each in library.search(
        "blue type:video", moments=True, k=2, where="-name:copy*")] in ([0, 6], [6, 0])  # fmt: skip


def test_a_frame_is_an_example_from_the_library_and_from_any_file(
    library: pixseek.Library, tmp_path: Path
) -> None:
    hit = party(library)
    assert hit.path is not None
    assert colour_of(np.asarray(library.frame(hit.id, 4.5))) == "green"
    like = library.similar(f"{hit.path}@7.5", k=2, where="type:video")
    assert {each.record.name for each in like} == {"copy of party.mp4", "sea.webm"}
    assert {round(each.part.start_s or 0) for each in like} == {0, 6}
    other = film(tmp_path / "elsewhere.mkv", (("white", 2.0), ("blue", 2.0)))
    (found,) = library.similar(f"{other}@0:03", k=1, where="type:image")
    assert found.score == pytest.approx(
        library.similar(other, at=3, k=1, where="type:image")[0].score
    )
    with pytest.raises(QueryError):
        library.frame("aaaaaaaaaaaaaaaa", 1.0)


@pytest.mark.parametrize("exact", [False, True])
def test_clips_are_cut_and_never_overwrite(
    library: pixseek.Library, tmp_path: Path, capsys: pytest.CaptureFixture[str], exact: bool
) -> None:
    found = library.search("green name:=party.mp4")
    export_clips(library, found, str(tmp_path / "clips"), exact=exact, quiet=False)
    (clip,) = (tmp_path / "clips").iterdir()
    assert clip.name.startswith(f"party {span(found[0].part).split('-')[0].replace(':', 'm')}s-")
    assert "1 clip in" in capsys.readouterr().out
    from pixseek import video

    assert colour_of(np.asarray(video.frame_at(clip, 1.5).pixels)) == "green"
    before = clip.read_bytes()
    export_clips(library, found, str(tmp_path / "clips"), exact=exact, quiet=False)
    assert "0 clips" in capsys.readouterr().out and clip.read_bytes() == before
    with pytest.raises(SourceError):
        library.cut(found[0].record, found[0].part, clip)
    with pytest.raises(QueryError, match="not a shot"):
        library.cut(found[0].record, pixseek.Part(), tmp_path / "no.mp4")


def test_clips_of_videos_of_the_same_name_do_not_collide(
    library: pixseek.Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hit,) = library.search("green name:=party.mp4")
    other = replace(hit, record=replace(hit.record, id="another"))
    export_clips(library, (hit, other), str(tmp_path), exact=False, quiet=False)
    first, second = sorted(tmp_path.iterdir(), key=lambda path: len(path.name))
    assert second.name == f"{first.stem} (2){first.suffix}"
    assert "2 clips in" in capsys.readouterr().out


def test_what_users_say_is_of_the_whole_video(library: pixseek.Library) -> None:
    hit = party(library)
    library.tag([hit.id], add=["birthday"], rating=5, caption="cutting the cake")
    tagged = library.get(hit.id)
    assert tagged is not None and tagged.tags == ("birthday",)
    assert tagged.parts == hit.record.parts
    (found,) = library.search("tag:birthday")
    assert found.id == hit.id
    library.index()
    assert library.get(hit.id) == tagged
    counts = library.facets("type:video")
    assert counts["tag"] == {"birthday": 1}


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_videos_are_exported_and_imported_with_their_shots(
    library: pixseek.Library, tmp_path: Path, tiny: TinyEncoder, ending: str
) -> None:
    del tiny
    library.export(tmp_path / f"all.{ending}")
    with pixseek.open(tmp_path / "other.lib") as other:
        other.import_vectors(tmp_path / f"all.{ending}")
        for record in library.records():
            known = other.get(record.id)
            assert known is not None
            assert known.parts == record.parts
        first, again = (
            [(hit.id, span(hit.part)) for hit in each.search("red", k=5, moments=True)]
            for each in (library, other)
        )
        assert again == first


def test_copies_of_videos_are_found_and_no_photo_is_one(library: pixseek.Library) -> None:
    groups = library.duplicates()
    with_videos = [g for g in groups if any(r.is_video for r in g.records)]
    assert [{r.name for r in g.records} for g in with_videos] == [
        {"party.mp4", "copy of party.mp4"}
    ]
    assert with_videos[0].kind == "same" and with_videos[0].exact


def test_a_video_that_is_gone_says_so(library: pixseek.Library, tmp_path: Path) -> None:
    hit = party(library)
    assert hit.path is not None
    away = hit.path.rename(tmp_path / "away.mp4")
    try:
        with pytest.raises(PixseekError, match="not there"):
            library.cut(hit.record, hit.part, tmp_path)
        assert library.preview(hit.record, hit.part) is not None
    finally:
        away.rename(hit.path)
