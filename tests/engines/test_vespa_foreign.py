"""Vespa applications that pixseek did not make: they are searched, and never written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_vespa import FakeVespa, serving

import pixseek
from pixseek.engines import open_engine
from pixseek.errors import CapabilityError, ConfigError, EngineError
from pixseek.types import Compare, Record

from vectors import DIM, random_unit
from vespa_check import Checker

ROWS = random_unit(40)
#: As of the study's own application: a document for each image, fed by pyvespa.
FIELDS = {
    "image_file_name": "string", "image_features": f"tensor<float>(x[{DIM}])", "year": "int",
    "odd": "array<string>",
}  # fmt: skip
SCHEMA = f"""schema image_search {{
  document image_search {{
    field image_file_name type string {{ indexing: attribute | summary }}
    field year type int {{ indexing: attribute | summary }}
    field odd type array<string> {{ indexing: attribute | summary }}
    field image_features type tensor<float>(x[{DIM}]) {{
      indexing: attribute | index
      attribute {{ distance-metric: angular }}
      index {{ hnsw {{ max-links-per-node: 16
 neighbors-to-explore-at-insert: 500 }} }}
    }}
  }}
  rank-profile image_similarity {{
    inputs {{ query(text_features) tensor<float>(x[{DIM}]) }}
    first-phase {{ expression: closeness(image_features) }}
  }}
}}
"""
SERVICES = """<?xml version="1.0" encoding="UTF-8"?>
<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/>
    <nodes><node hostalias="node1"/></nodes></container>
  <content id="image_search" version="1.0"><redundancy>1</redundancy>
    <documents><document type="image_search" mode="index"/></documents>
    <nodes><node hostalias="node1" distribution-key="0"/></nodes></content>
</services>
"""
BY_INDEX = "&profile=image_similarity&tensor=text_features"


@pytest.fixture
def theirs() -> Iterator[FakeVespa]:
    fake = FakeVespa({"image_search": FIELDS})
    for n, row in enumerate(ROWS):
        fake.documents["image_search"][f"{n}.jpg"] = {
            "#": n, "image_file_name": f"photos/{n}.jpg", "year": 2000 + n, "odd": ["x"],
            "image_features": row * (n + 1),
        }  # fmt: skip
    with serving(fake):
        yield fake


def address(fake: FakeVespa, options: str = "") -> str:
    return f"vespa+{fake.url}/image_search?vector=image_features&image=image_file_name{options}"


@pytest.mark.parametrize("options", ["", BY_INDEX])
def test_an_application_of_the_study_is_searched_and_not_written(
    theirs: FakeVespa, options: str
) -> None:
    query = random_unit(1, 5)
    scores = (ROWS.astype(np.float64) @ query[0].astype(np.float64)).tolist()
    best = sorted(range(40), key=lambda n: -scores[n])
    with open_engine(address(theirs, options)) as engine:
        space = engine.space
        assert space is not None
        assert (space.dim, space.model) == (DIM, "clip-b32-openai")
        (found,) = engine.nearest(query, 5)
        assert found.ids == tuple(f"{n}.jpg" for n in best[:5])
        np.testing.assert_allclose(found.scores, [scores[n] for n in best[:5]], atol=1e-5)
        assert found.total == engine.count() == 40
        assert found.reach.exact is (options == "")
        (exact,) = engine.nearest(query, 5, exact=True)
        assert exact.ids == found.ids
        (record,) = engine.get([found.ids[0]])
        assert record == Record(
            f"{best[0]}.jpg", f"photos/{best[0]}.jpg", fields={"year": 2000 + best[0]}
        )
        assert engine.get(["nothing.jpg"]) == [None]
        # A filter that is checked on what comes back still gives k.
        (few,) = engine.nearest(query, 3, Compare("fields.year", "ge", 2020))
        assert few.ids == tuple(f"{n}.jpg" for n in best if n >= 20)[:3]
        assert [r.id for some, _ in engine.export(7) for r in some] == sorted(
            f"{n}.jpg" for n in range(40)
        )
        for write in (
            lambda: engine.put([Record("new", "r/new")], random_unit(1)),
            lambda: engine.delete(["1.jpg"]),
            lambda: engine.keep("search", "x", "y"),
        ):
            with pytest.raises(CapabilityError, match="only searched"):
                write()
        del theirs.documents["image_search"]["0.jpg"]
        assert "0.jpg" not in set(engine.matching_ids())
        assert engine.count() == 39
    assert not any(each.startswith(("PUT", "DELETE")) for each in theirs.requests)


@pytest.mark.parametrize("options", ["", BY_INDEX])
def test_many_searches_at_once_and_documents_in_groups_are_answered(
    theirs: FakeVespa, options: str
) -> None:
    documents = theirs.documents["image_search"]
    documents["g=a b/c:x:y"] = documents.pop("7.jpg")
    queries = np.concatenate([ROWS[7:8], random_unit(39)])
    with open_engine(address(theirs, options)) as engine:
        found = engine.nearest(queries, 3)
        assert [len(each) for each in found] == [3] * 40
        assert found[0].ids[0] == "id:image_search:image_search:g=a b/c:x:y"
        (record,) = engine.get(found[0].ids[:1])
        assert record is not None and record.uri == "photos/7.jpg"


@pytest.mark.slow
def test_an_application_of_the_study_becomes_a_library(theirs: FakeVespa, tmp_path: Path) -> None:
    with pixseek.open(tmp_path / "photos.lib", engine=address(theirs)) as library:
        before = {record.id: record for record in library.records()}
        done = library.migrate("embedded")
        assert (done.records, done.vectors, done.recall) == (40, 40, 1.0)
        assert {record.id: record for record in library.records()} == before
        query = random_unit(1, 5)
        best = sorted(range(40), key=lambda n: -float(ROWS[n] @ query[0]))
        (found,) = library.opened.engine.nearest(query, 5)
        assert found.ids == tuple(f"{n}.jpg" for n in best[:5])
        library.tag("7.jpg", add="mine")


@pytest.mark.slow
def test_vespa_accepts_these_searches(
    theirs: FakeVespa, tmp_path: Path, vespa_check: Checker
) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "image_search.sd").write_text(SCHEMA)
    (tmp_path / "services.xml").write_text(SERVICES)
    with open_engine(address(theirs, BY_INDEX)) as engine:
        engine.nearest(random_unit(1), 150)
        engine.count()
    said = vespa_check(tmp_path, list(theirs.queries.values()))
    assert said.package.ok, said.package.error
    assert len(said.queries) > 1
    assert [each.error for each in said.queries if not each.ok] == []


@pytest.mark.parametrize(
    ("error", "change", "said"),
    [
        (EngineError, ("vector=image_features", "vector=other"), "Its fields: image_features, "),
        (EngineError, ("/image_search", "/pictures"), "can't read documents of this type"),
        (EngineError, ("/image_search", "/ImageSearch"), "can't read documents of this type"),
        (ConfigError, ("/image_search", "/image.search"), "Not the name of a document type"),
        (ConfigError, ("vector=image_features", "vector=a-b"), "Not the name of a field"),
        (ConfigError, ("&image", "&profile=x&image"), "with its tensor"),
    ],
)
def test_what_is_not_there_is_explained(
    theirs: FakeVespa, error: Any, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(error, match=said):
        open_engine(address(theirs).replace(*change))
