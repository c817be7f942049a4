"""What users said outlives its record on every engine, and each process that uses it sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pixseek.indexing import said
from pixseek.metadata.annotations import Annotation, annotate
from pixseek.types import Engine, Record, Stamp, record_id

from vectors import Opener, random_unit

WORDS = Annotation(caption="mine", rating=4, tags_added=("a", "b"), fields={"price": 9.5})


def record(uri: str, digest: str, pixels: str = "") -> Record:
    return Record(
        record_id(uri), uri, Stamp(1, 1), digest=digest * 64, pixels=(pixels or digest) * 64
    )


@pytest.mark.parametrize("arrives", [record("q/new", "1"), record("q/new", "2", "1")])
def test_words_go_to_the_same_content_or_the_same_pixels(
    engine: Engine, opener: Opener, arrives: Record
) -> None:
    old, other = annotate(record("r/old", "1"), WORDS), annotate(record("r/other", "3"), WORDS)
    engine.put([old, other], random_unit(2))
    assert said.delete(engine, [old.id, other.id]) == 2
    machine = opener()
    assert machine.count() == 0
    assert machine.count(said.AWAY) == 2
    found = said.origins(machine, [arrives], {}, lambda _: False)
    assert found == {arrives.id: replace(old, away=True, parts=())}
    assert said.with_words_of(arrives, found[arrives.id]) == annotate(arrives, WORDS)


def test_a_record_whose_file_is_gone_is_found_by_its_pixels(engine: Engine) -> None:
    old = annotate(record("r/old", "1"), WORDS)
    engine.put([old, record("r/plain", "1")], random_unit(2))
    arrives = record("q/new", "2", "1")
    assert said.origins(engine, [arrives], {}, lambda _: False) == {}
    assert said.origins(engine, [arrives], {}, lambda _: True) == {arrives.id: old}


def test_only_what_was_carried_on_is_deleted(engine: Engine) -> None:
    old, silent = annotate(record("r/old", "1"), WORDS), record("r/silent", "2")
    new = annotate(record("q/new", "1"), WORDS)
    engine.put([old, silent, new], random_unit(3))
    assert said.delete(engine, [old.id, silent.id], [(new, old)]) == 0
    assert engine.get([old.id, silent.id]) == [None, None]
    assert said.delete(engine, [new.id]) == 1
    assert engine.get([new.id]) == [replace(new, away=True, parts=())]


def test_what_is_said_while_a_content_moves_goes_with_it(engine: Engine) -> None:
    old = annotate(record("r/old", "1"), WORDS)
    new = annotate(record("q/new", "1"), WORDS)
    late = annotate(old, replace(WORDS, rating=1))
    engine.put([late, new], random_unit(2))
    assert said.delete(engine, [old.id], [(new, old)]) == 0
    assert engine.get([new.id]) == [annotate(new, replace(WORDS, rating=1))]


def test_a_content_that_loses_its_place_is_kept_once_a_place(engine: Engine) -> None:
    stored = annotate(record("r/a", "1"), WORDS)
    engine.put([stored], random_unit(1))
    for digest in ("2", "3"):  # edited twice: the place has all that was said
        new = record("r/a", digest)
        said.keep_displaced(engine, [new], said.arrivals(engine, [new]), {}, ())
        engine.put([new], random_unit(1), said.with_words_of)
    assert engine.count(said.AWAY) == 0
    arrives = record("q/new", "2")
    (origin,) = said.origins(engine, [arrives], {}, lambda _: False).values()
    assert origin.uri == "r/a"
    # Another content with words of its own takes the place: those of the first are kept apart.
    new, origin = record("r/a", "5"), annotate(record("r/b", "5"), replace(WORDS, rating=1))
    said.keep_displaced(engine, [new], said.arrivals(engine, [new]), {new.id: origin}, ())
    assert engine.count(said.AWAY) == 1
    said.forget_displaced(engine, [annotate(record("r/a", "3"), WORDS)])
    assert engine.count(said.AWAY) == 0


def test_a_copy_inherits_what_was_said_of_a_deleted_original(engine: Engine) -> None:
    old, copy = annotate(record("r/old", "1"), WORDS), record("q/copy", "2", "1")
    engine.put([old, copy], random_unit(2))
    said.hand_on(engine, [old.id], lambda _: False)
    assert engine.get([copy.id]) == [copy]
    said.hand_on(engine, [old.id], lambda _: True)
    assert engine.get([old.id, copy.id]) == [old, annotate(copy, WORDS)]
