"""Changing the model of a library: nothing is lost, mixed or done twice, and searches go on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixseek
from pixseek.encoders import paired
from pixseek.errors import (
    LibraryError,
    LibraryLockedError,
    ModelError,
    SourceVanishedError,
    SpaceMismatchError,
)
from pixseek.images import decode
from pixseek.indexing import embedding
from pixseek.indexing.reindexing import Pictures
from pixseek.library.jobs import same_file
from pixseek.library.model import LibraryModel
from pixseek.types import Progress, Record, record_id

from tiny_encoder import TinyEncoder, WideEncoder, draw


class TwinTexts(TinyEncoder):
    """The same images as "tiny", and texts in another language."""

    def __init__(self, name: str = "twin") -> None:
        super().__init__(name)
        self.fingerprint = TinyEncoder().fingerprint

    def _row(self, text: str) -> Any:
        return super()._row({"rot": "red", "grün": "green", "blau": "blue"}.get(text, text))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, TinyEncoder]:
    """The encoders that `encoders.load` gives, by name."""
    known = {each.name: each for each in (TinyEncoder(), WideEncoder(), TwinTexts())}
    known["other"] = TinyEncoder("other")
    known["other"].fingerprint = "other" * 12

    def load(name: Any, **_: Any) -> TinyEncoder:
        if str(name) not in known:
            raise ModelError("unknown model", name)
        return known[str(name)]

    monkeypatch.setattr("pixseek.encoders.load", load)
    monkeypatch.setattr("pixseek.encoders.is_known", known.__contains__)
    monkeypatch.setattr("pixseek.encoders.locate", lambda *_: None)
    # Tests count what was embedded; that is for the images of the library alone.
    monkeypatch.setattr("pixseek.library.jobs.LEARN_FROM", 0)
    return known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        colour = ("red", "green", "blue")[number % 3]
        draw(tmp_path / "pictures" / f"{colour}{number}.png", colour, number)
    return tmp_path / "pictures"


@pytest.fixture
def library(
    tmp_path: Path, folder: Path, models: dict[str, TinyEncoder]
) -> Iterator[pixseek.Library]:
    with pixseek.open(tmp_path / "photos.lib", "tiny") as made:
        made.index(folder)
    with pixseek.open(tmp_path / "photos.lib") as opened:
        yield opened


def vectors(library: pixseek.Library) -> dict[str, Any]:
    return {
        record.uri: row.tobytes()
        for records, rows in library.opened.engine.export()
        for record, row in zip(records, rows, strict=True)
    }


def found(library: pixseek.Library, colour: str, k: int = 4) -> set[str]:
    return {re.sub(r"\d*\.png", "", hit.record.name) for hit in library.search(colour, k=k)}


def models_held(library: pixseek.Library) -> list[str]:
    return [space.model for space in library.opened.engine.spaces()]


def test_reindexing_equals_indexing_with_the_new_model(
    library: pixseek.Library, folder: Path, tmp_path: Path, models: dict[str, TinyEncoder]
) -> None:
    shutil.move(folder, tmp_path / "away")  # previews are enough
    seen: list[Progress] = []
    report = library.reindex("wide", on_progress=seen.append)
    assert (report.updated, report.unchanged, report.failures) == (12, 0, ())
    assert [seen[0].stage, seen[-1].done, seen[-1].total] == ["prepare", 12, 12]
    assert models["wide"].embedded == 12
    assert found(library, "red") == {"red"}
    assert (library.model, library.status().model) == ("wide", "wide")
    assert models_held(library) == ["wide"]
    assert library.status().other_spaces == ()
    shutil.move(tmp_path / "away", folder)
    assert library.index().unchanged == 12
    with pixseek.open(tmp_path / "new.lib", "wide") as new:
        new.index(folder)
        made = vectors(new)
    for uri, row in vectors(library).items():
        one, other = (np.frombuffer(each, np.float32) for each in (row, made[uri]))
        assert one @ other > 0.99  # of a preview, and of the file


def test_other_processes_use_the_new_model_at_their_next_search(
    library: pixseek.Library, models: dict[str, TinyEncoder]
) -> None:
    with (
        pixseek.open(library.path) as resident,
        pixseek.open(library.path, "tiny") as insisting,
    ):
        for each in (resident, insisting, library):
            assert found(each, "green") == {"green"}
            assert each.search("green")[0].record.name.startswith("green")
        library.reindex("wide")
        assert found(resident, "green") == {"green"}
        (hit,) = resident.search("blue", k=1)
        assert resident.search("blue").model == "wide"
        assert resident.vectors(hit.id).shape == (1, 192)
        assert resident.similar(hit.id, k=3)[0].record.name.startswith("blue")
        assert resident.tag([hit.id], add="seen") == 1
        with pytest.raises(SpaceMismatchError, match=r"(?s)wide.*pixseek reindex --model tiny"):
            insisting.search("green")
        # And back, by the one that only looked on.
        resident.reindex("tiny")
        assert found(library, "green") == found(insisting, "green") == {"green"}


def test_the_old_model_serves_while_the_new_one_embeds(
    library: pixseek.Library, models: dict[str, TinyEncoder]
) -> None:
    with pixseek.open(library.path) as other:
        run = library.reindexing("wide")
        for progress in run:
            if progress.stage == "index":
                for each in (library, other):
                    results = each.search("red", k=4)
                    assert results.model == "tiny"
                    assert {hit.record.name[:3] for hit in results} == {"red"}
                with pytest.raises(LibraryLockedError):
                    other.reindex("wide")
        assert found(other, "red") == {"red"}
        assert other.search("red").model == "wide"


def test_searches_from_threads_while_the_model_changes(
    library: pixseek.Library, models: dict[str, TinyEncoder]
) -> None:
    problems: list[str] = []
    ended = threading.Event()

    def search(each: pixseek.Library) -> None:
        while not ended.is_set():
            results = each.search("red", k=4)
            names = {hit.record.name[:3] for hit in results}
            if names != {"red"} or len(results) != 4:
                problems.append(f"{names} by {results.model}")

    with pixseek.open(library.path) as other:
        threads = [threading.Thread(target=search, args=(each,)) for each in (library, other)]
        for thread in threads:
            thread.start()
        try:
            for name in ("wide", "other", "tiny", "wide", "tiny"):
                library.reindex(name, keep=name == "wide")
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert problems == []


@pytest.mark.parametrize("name", ["wide", "other"])
def test_a_search_during_a_switch_is_repeated(
    library: pixseek.Library,
    models: dict[str, TinyEncoder],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Its text was embedded by the old model; of "other" the vectors are even as long."""
    with pixseek.open(library.path) as other:
        library.search("green")  # loads the model; the vectors of "red" are not known yet
        original, asked = models["tiny"].encode_texts, []

        def overtaken(texts: Any) -> Any:
            if not asked:
                asked.append(texts)
                other.reindex(name)
            return original(texts)

        monkeypatch.setattr(models["tiny"], "encode_texts", overtaken)
        again: list[Any] = []
        encode = models[name].encode_texts
        monkeypatch.setattr(
            models[name], "encode_texts", lambda texts: again.append(texts) or encode(texts)
        )
        results = library.search("red", k=4)
    assert results.model == name
    assert {hit.record.name[:3] for hit in results} == {"red"}
    assert ["red", "a red"] in again


def test_kept_vectors_are_reused(
    library: pixseek.Library, folder: Path, models: dict[str, TinyEncoder]
) -> None:
    library.reindex("wide", keep=True)
    assert models_held(library) == ["wide", "tiny"]
    ((space, held),) = library.status().other_spaces
    assert (space.model, held) == ("tiny", 12)
    red = library.search("red", k=1)[0]
    library.tag([red.id], add="mine")
    draw(folder / "new.png", "blue", 99)
    draw(folder / "green1.png", "red", 98)
    (folder / "blue2.png").unlink()
    library.index()
    before = models["tiny"].embedded
    report = library.reindex("tiny", keep=True)
    assert models["tiny"].embedded - before == report.updated == 2
    assert report.unchanged == 10
    assert library.get(red.id).tags == ("mine",)
    assert found(library, "red", k=5) == {"red", "green"}
    # Naming the model that it has drops what else is kept.
    assert library.reindex("tiny").updated == 0
    assert models_held(library) == ["tiny"]
    assert len(list(library.path.glob("background-images-*"))) == 1


def test_a_stopped_reindexing_continues_after_changes(
    library: pixseek.Library,
    folder: Path,
    models: dict[str, TinyEncoder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()

    def after_five(progress: Progress) -> None:
        if progress.done >= 5:
            stop.set()

    models["wide"].batch_size = 1
    report = library.reindex("wide", stop=stop, on_progress=after_five)
    assert report.stopped
    done = report.updated
    assert 5 <= done < 12
    assert models_held(library) == ["tiny", "wide"]
    assert found(library, "red") == {"red"}
    assert library.search("red").model == "tiny"
    # In between: one more, one less, one changed, one moved, one tagged.
    draw(folder / "new.png", "blue", 99)
    (folder / "red0.png").unlink()
    draw(folder / "green1.png", "blue", 98)
    (folder / "blue2.png").rename(folder / "moved.png")
    library.tag([library.search("red", k=1)[0].id], add="mine")
    library.index()
    with pixseek.open(library.path) as again:
        report = again.reindex("wide")
        assert not report.stopped
        assert report.updated + report.unchanged == 12
        assert report.unchanged >= done - 3
    resumed = vectors(library)
    library.reindex("tiny")
    library.reindex("wide")
    assert resumed == vectors(library)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_reindexing_continues(library: pixseek.Library) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        import pixseek, pixseek.encoders, pixseek.library
        from pixseek.indexing import reindexing
        from tiny_encoder import WideEncoder
        reindexing.CHECKPOINT_S = 0.0
        encoder = WideEncoder()
        encoder.batch_size, encoder.seconds_a_batch = 1, 0.05
        pixseek.encoders.load = lambda *_, **__: encoder
        pixseek.encoders.is_known = ["wide"].__contains__
        pixseek.encoders.locate = lambda *_: None
        with pixseek.open(sys.argv[1], threads=1) as library:
            library.reindex("wide", on_progress=lambda p: print(p.done, flush=True))
        """
    )
    paths = [str(Path(__file__).parents[1]), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(library.path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 6:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert library.status().running is None
    assert models_held(library) == ["tiny", "wide"]
    assert found(library, "blue") == {"blue"}
    report = library.reindex("wide")
    assert report.unchanged >= 5
    assert report.updated == 12 - report.unchanged
    resumed = vectors(library)
    library.reindex("tiny")
    library.reindex("wide")
    assert resumed == vectors(library)


def test_status_shows_a_reindexing_of_another_process(
    library: pixseek.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixseek.library.jobs.NOTE_S", 0.0)
    with pixseek.open(library.path) as other:
        run = library.reindexing("wide")
        while next(run).done < 6:
            pass
        status = other.status()
        assert status.running is not None
        assert (status.running["done"], status.running["total"]) == (6, 12)
        assert [space.model for space, _ in status.other_spaces] == ["wide"]
        run.close()
        assert other.status().running is None


class TestFailures:
    def test_one_bad_image_is_a_failure_and_stays(
        self, library: pixseek.Library, folder: Path, models: dict[str, TinyEncoder]
    ) -> None:
        digest = library.get(record_id("pictures/red0.png")).digest
        library.opened.previews.put({digest: b"no image"})
        (folder / "red0.png").rename(folder / "elsewhere.txt")
        library.tag([record_id("pictures/red0.png")], add="precious")
        report = library.reindex("wide")
        (failure,) = report.failures
        assert (failure.uri, failure.stage, failure.reason) == (
            "pictures/red0.png", "read", "missing",
        )  # fmt: skip
        assert library.failures() == [failure]
        assert (report.updated, len(library)) == (11, 12)
        # It is found by words and filters, and tagged; it resembles nothing.
        (hit,) = library.search("tag:precious")
        assert (hit.uri, hit.record.parts) == (failure.uri, ())
        assert failure.uri in {hit.uri for hit in library.search("precious")}
        assert library.tag([hit.id], add="lost") == 1
        assert failure.uri not in {hit.uri for hit in library.search("red")}
        with pytest.raises(pixseek.PixseekError, match=r"(?i)no vectors of the library's model"):
            library.similar(hit.id)
        assert library.duplicates(0.999) == []
        # Its file comes back: the next run embeds it, and its annotations are still there.
        (folder / "elsewhere.txt").rename(folder / "red0.png")
        report = library.index()
        assert (report.updated, report.unchanged) == (1, 11)
        assert library.get(hit.id).tags == ("lost", "precious") or library.get(hit.id).tags == (
            "precious", "lost",
        )  # fmt: skip
        assert library.vectors(hit.id).shape == (1, 192)
        assert library.failures() == []

    def test_images_that_the_model_refuses_are_failures(
        self,
        library: pixseek.Library,
        folder: Path,
        models: dict[str, TinyEncoder],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        draw(folder / "white.png", "white", 9)
        library.index()
        wide = models["wide"]
        original = wide.encode_images

        def refuse_white(batch: Any) -> Any:
            if np.any(batch.mean((1, 2, 3)) > 0.5):
                raise ModelError("It produced nothing", "wide")
            return original(batch)

        monkeypatch.setattr(wide, "encode_images", refuse_white)
        report = library.reindex("wide")
        (failure,) = report.failures
        assert (failure.uri, failure.reason) == ("pictures/white.png", "not-encodable")
        assert (report.updated, len(library)) == (12, 13)
        # The next run does not try again what has not changed, and does not lose it.
        report = library.index()
        assert (report.unchanged, report.known_failures, len(library)) == (12, 1, 13)
        monkeypatch.setattr(wide, "encode_images", original)
        # Another try, by the same command.
        assert library.reindex("wide").updated == 1
        assert library.failures() == []
        assert "white" in found(library, "white")

    def test_user_fields_move_with_a_file_without_vectors(
        self, library: pixseek.Library, folder: Path, models: dict[str, TinyEncoder]
    ) -> None:
        record = library.get(record_id("pictures/red0.png"))
        library.opened.previews.delete([record.digest])
        content = (folder / "red0.png").read_bytes()
        (folder / "red0.png").unlink()
        library.tag([record.id], add="precious")
        library.reindex("wide")
        (folder / "sub").mkdir()
        (folder / "sub" / "other name.png").write_bytes(content)
        library.index()
        moved = library.get(record_id("pictures/sub/other name.png"))
        assert moved.tags == ("precious",)
        assert library.vectors(moved.id).shape == (1, 192)
        assert library.get(record.id) is None

    def test_a_model_that_embeds_nothing_is_refused(
        self,
        library: pixseek.Library,
        models: dict[str, TinyEncoder],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(batch: Any) -> Any:
            raise ModelError("The graph is broken", "wide")

        monkeypatch.setattr(models["wide"], "encode_images", refuse)
        with pytest.raises(ModelError, match=r"(?i)graph is broken"):
            library.reindex("wide")
        monkeypatch.setattr(embedding, "_REFUSED_IN_A_ROW", 99)
        models["wide"].batch_size = 1
        with pytest.raises(ModelError, match=r"(?i)no image could be embedded.*stays with tiny"):
            library.reindex("wide")
        assert found(library, "red") == {"red"}
        assert library.failures() == []
        assert library.index().unchanged == 12

    def test_an_unplugged_drive_changes_nothing(
        self, library: pixseek.Library, folder: Path, tmp_path: Path
    ) -> None:
        digests = [library.get(record_id(f"pictures/red{n}.png")).digest for n in (0, 3)]
        library.opened.previews.delete(digests)
        shutil.move(folder, tmp_path / "away")
        with pytest.raises(SourceVanishedError, match=r"(?i)2 images have no preview"):
            library.reindex("wide")
        assert library.search("red").model == "tiny"
        shutil.move(tmp_path / "away", folder)
        report = library.reindex("wide")
        assert (report.updated, report.unchanged, report.failures) == (2, 10, ())

    def test_an_empty_library_can_not_be_reindexed(
        self, tmp_path: Path, models: dict[str, TinyEncoder]
    ) -> None:
        with pixseek.open(tmp_path / "new.lib") as new, pytest.raises(LibraryError, match="index"):
            new.reindex("wide")

    def test_an_unavailable_model_changes_nothing(self, library: pixseek.Library) -> None:
        with pytest.raises(ModelError, match=r"(?i)unknown model: nowhere"):
            library.reindex("nowhere")
        assert models_held(library) == ["tiny"]


class TestTexts:
    def test_a_model_of_the_same_images_embeds_nothing(
        self, library: pixseek.Library, models: dict[str, TinyEncoder]
    ) -> None:
        embedded = models["tiny"].embedded
        with pixseek.open(library.path) as resident:
            assert found(resident, "rot") != {"red"}
            report = library.reindex("twin")
            assert (report.updated, report.unchanged) == (0, 12)
            assert (models["twin"].embedded, models["tiny"].embedded) == (0, embedded)
            for each in (library, resident):
                assert found(each, "rot") == {"red"}
                assert each.search("rot").model == each.status().model == "twin"
        library.reindex("tiny")
        assert found(library, "rot") != {"red"}

    def test_a_text_tower_of_another_model(
        self, library: pixseek.Library, folder: Path, models: dict[str, TinyEncoder]
    ) -> None:
        models["foreign"] = TwinTexts("foreign")
        models["foreign"].fingerprint = "of files that nobody knows"
        with pixseek.open(library.path) as resident:
            resident.search("red")
            before = LibraryModel(resident.opened, None).backgrounds()
            library.reindex(text_model="foreign")
            for each in (library, resident):
                assert found(each, "rot") == found(each, "red") == {"red"}
                assert (each.model, each.text_model) == ("tiny", "foreign")
                assert each.status().texts == "foreign"
            # The background is that of its texts: these are the same, but for words of colours.
            after = LibraryModel(resident.opened, None).backgrounds()
            np.testing.assert_allclose(after.texts.mean, before.texts.mean)
            draw(folder / "new.png", "blue", 77)
            assert library.index().added == 1
            # It goes with the space: another model has its own, and the old one has it again.
            library.reindex("wide", keep=True)
            assert library.text_model == ""
            library.reindex("tiny", text_model="foreign")
            assert found(resident, "blau") == {"blue", "new"}
            library.reindex(text_model="")
            assert (resident.text_model, resident.status().texts) == ("", "")
            assert found(resident, "rot") != {"red"}

    def test_a_text_tower_of_another_space_is_refused(
        self, library: pixseek.Library, models: dict[str, TinyEncoder]
    ) -> None:
        with pytest.raises(ModelError, match=r"(?i)vectors of different lengths"):
            library.reindex(text_model="wide")

        class Stranger(TinyEncoder):
            def _row(self, text: str) -> Any:
                return super()._row(f"{text}, as a stranger says it")

        models["stranger"] = Stranger("stranger")
        with pytest.raises(ModelError, match=r"(?i)does not match.*stranger and tiny.*0\.0"):
            library.reindex(text_model="stranger")
        assert library.text_model == ""

    def test_agreement_of_text_towers(self) -> None:
        captions = [f"a thing of kind {n}" for n in range(200)]
        one, same = TinyEncoder(), TinyEncoder("same")
        assert paired.agreement(one, same, captions) == pytest.approx(1.0)

        class Backwards(TinyEncoder):
            def _row(self, text: str) -> Any:
                return -super()._row(text)

        assert paired.agreement(one, Backwards(), captions) == pytest.approx(-1.0)


class TestPictures:
    """Which pixels are taken: those of the preview, where it shows enough."""

    @pytest.mark.parametrize(
        ("size", "side", "taken"),
        [
            ((1600, 1200), 224, "preview"),  # 384 x 288
            ((1600, 1200), 288, "preview"),
            ((1600, 1200), 336, "file"),
            ((1920, 1080), 224, "file"),  # 384 x 216
            ((300, 200), 224, "preview"),  # as large as the image
            ((384, 100), 336, "preview"),
            ((3000, 500), 64, "preview"),  # 384 x 64
        ],
    )
    def test_the_preview_is_used_if_nothing_is_enlarged(
        self, tmp_path: Path, size: tuple[int, int], side: int, taken: str
    ) -> None:
        from pixseek.images.derived import derive

        content = draw(tmp_path / "a.png", "red", 1, size).read_bytes()
        preview = derive(decode(content)).preview
        record = Record("a", "r/a.png", width=size[0], height=size[1])
        asked: list[str] = []

        def giving(name: str, value: bytes | None) -> Callable[[Record], bytes | None]:
            def give(_: Record) -> bytes | None:
                asked.append(name)
                return value

            return give

        pictures = Pictures(giving("preview", preview), giving("file", content), lambda _: None)
        picture = pictures.of(record, side)
        assert picture is not None
        assert asked[-1] == taken
        # Without the file the preview is used after all.
        pictures = Pictures(lambda _: preview, lambda _: None, lambda _: None)
        assert pictures.of(record, side) is not None
        # With the file first it is taken even where the preview would do.
        first = Pictures(
            lambda _: preview, giving("file", content), lambda _: None, files_first=True
        )
        picture = first.of(record, side)
        assert picture is not None
        assert picture.media == "image/png"
        assert Pictures(lambda _: None, lambda _: None, lambda _: None).of(record, side) is None

    def test_a_changed_file_is_not_read(self, library: pixseek.Library, folder: Path) -> None:
        record = library.get(record_id("pictures/red0.png"))
        assert same_file(library.opened, record) == (folder / "red0.png").read_bytes()
        draw(folder / "red0.png", "blue", 50)
        assert same_file(library.opened, record) is None


@pytest.mark.slow
def test_previews_give_nearly_the_vectors_of_files(
    shared: Path, photo_mini: Path, tmp_path: Path
) -> None:
    names = sorted((shared / "images" / "photos").glob("*.jpg"))[:24]
    (tmp_path / "photos").mkdir()
    for each in names:
        shutil.copy(each, tmp_path / "photos")
    with pixseek.open(tmp_path / "a.lib", "demo", drawn=True) as library:
        library.index(tmp_path / "photos")
        shutil.move(tmp_path / "photos", tmp_path / "away")
        library.reindex(photo_mini)
        shutil.move(tmp_path / "away", tmp_path / "photos")
        with pixseek.open(tmp_path / "b.lib", photo_mini) as new:
            new.index(tmp_path / "photos")
            of_files, of_previews = vectors(new), vectors(library)
        assert library.search("a dog", k=3).model == "photo-mini"
        assert library.status().model == "photo-mini"
        # The files themselves give the vectors that a new library has.
        library.reindex("demo")
        library.reindex(photo_mini, files=True)
        again = vectors(library)
    for uri, row in of_files.items():
        one, other = np.frombuffer(row, np.float32), np.frombuffer(again[uri], np.float32)
        np.testing.assert_allclose(one, other, atol=2e-3)
    cosines = [
        np.frombuffer(of_files[uri], np.float32) @ np.frombuffer(of_previews[uri], np.float32)
        for uri in of_files
    ]
    # What is lost is lost in the JPEG of the preview; see docs/how-to/own-model.md.
    assert len(cosines) == 24
    assert min(cosines) > 0.9
    assert np.median(cosines) > 0.94
