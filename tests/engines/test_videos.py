"""Records of 1 to 500 parts in every engine: the right shots, also if videos crowd a query."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pixseek.types import Compare, Engine, Part, Record

from vectors import DIM, SPACE, Opener, random_unit, unit

#: Shots of each video. All are nearer to what is looked for than any photo, one most of all.
LENGTHS = (500, 300, 120, 40, 7, 1)
CROWDED = 0.15


def shots(count: int) -> tuple[Part, ...]:
    return tuple(Part("shot", None, 2.0 * n, 2.0 * n + 2.0, 2.0 * n + 0.75) for n in range(count))


def videos() -> tuple[list[Record], np.ndarray]:
    """Return records of videos and of 60 photos, with vectors: the videos' are near each other."""
    records, rows = [], []
    rng = np.random.default_rng(5)
    centre = random_unit(1, 4)[0]
    for n, length in enumerate(LENGTHS):
        records.append(
            Record(
                f"video{n}",
                f"clips/{n}.mp4",
                media="video/mp4",
                parts=shots(length),
                fields={"duration_s": 2.0 * length},
            )
        )
        noise = CROWDED * rng.standard_normal((length, DIM))
        noise[length // 2] *= (0.1 + 0.1 * n) / np.linalg.norm(noise[length // 2])
        rows.append(unit(centre + noise))
    records += [Record(f"photo{n:02}", f"clips/{n}.jpg", media="image/jpeg") for n in range(60)]
    rows.append(random_unit(60, 6))
    return records, np.concatenate(rows).astype(np.float32)


@pytest.fixture
def engine(opener: Opener) -> Iterator[Engine]:
    opened = opener()
    opened.ensure(SPACE)
    records, vectors = videos()
    opened.put(records, vectors)
    yield opened


def truth(query: np.ndarray, only: str = "") -> list[tuple[str, int, float]]:
    """Return each record's best part with its score, best first."""
    records, vectors = videos()
    found, at = [], 0
    for record in records:
        scores = vectors[at : at + len(record.parts)].astype(np.float64) @ query
        at += len(record.parts)
        if record.media.startswith(only):
            found.append((record.id, int(np.argmax(scores)), float(scores.max())))
    return sorted(found, key=lambda each: -each[2])


@pytest.mark.parametrize("k", [1, 3, 6, 7, 40])
def test_videos_of_many_shots_hide_no_record(engine: Engine, k: int) -> None:
    query = random_unit(1, 4)[0]
    (found,) = engine.nearest(query[None], k)
    expected = truth(query)[:k]
    assert [*zip(found.ids, found.parts, strict=True)] == [each[:2] for each in expected]
    np.testing.assert_allclose(found.scores, [each[2] for each in expected], atol=2e-3)


def test_videos_are_found_by_filters_and_come_back_whole(engine: Engine) -> None:
    query = random_unit(1, 4)[0]
    (found,) = engine.nearest(query[None], 10, Compare("media", "glob", "video/*"))
    assert [each[0] for each in truth(query, "video/")] == list(found.ids)
    records, vectors = videos()
    stored = engine.vectors([record.id for record in records[:6]])
    at = 0
    for record, known, rows in zip(
        records, engine.get([r.id for r in records]), stored, strict=False
    ):
        assert known is not None and known.parts == record.parts
        assert rows is not None
        np.testing.assert_allclose(rows, vectors[at : at + len(rows)], atol=2e-3)
        at += len(rows)
    assert engine.count() == len(records)


def test_a_video_that_is_indexed_again_has_only_its_new_shots(engine: Engine) -> None:
    (old,) = engine.get(["video0"])
    assert old is not None
    again = Record(old.id, old.uri, media=old.media, parts=shots(3))
    engine.put([again], random_unit(3, 77))
    (rows,) = engine.vectors(["video0"])
    assert rows is not None and len(rows) == 3
    query = random_unit(3, 77)[2]
    (found,) = engine.nearest(query[None], 1)
    assert (found.ids, found.parts) == (("video0",), (2,))
    assert engine.delete(["video0", "video1"]) == 2
    (found,) = engine.nearest(query[None], 100)
    assert {"video0", "video1"}.isdisjoint(found.ids) and len(found.ids) == 64
