"""Application packages for Vespa."""

from __future__ import annotations

import pytest

from pixseek.engines import tokens
from pixseek.engines.stored_fields import ORDERS
from pixseek.engines.vespa import schema
from pixseek.engines.vespa.schema import Hnsw, Slot


@pytest.mark.parametrize(
    ("model", "taken", "slot"),
    [
        ("clip-b32-openai", [], "clip_b32_openai"),
        ("clip-rn50x4-openai", [], "clip_rn50x4_openai"),
        ("google/siglip2-base-patch16-256", [], "google_siglip2_base_patch16_256"),
        ("My Model (v2.1)", [], "my_model_v2_1"),
        ("Größe", [], "gr_e"),
        ("日本", [], "model"),
        ("x" * 60, [], "x" * 48),
        ("a-b", ["a_b"], "a_b_2"),
        ("a.b", ["a_b", "a_b_2", "other"], "a_b_3"),
    ],
)
def test_slots_are_named_after_models(model: str, taken: list[str], slot: str) -> None:
    assert schema.slot_name(model, taken) == slot


def test_names_of_document_types_fit_schemas_files_and_queries() -> None:
    for good in ("images", "photos_2024", "a"):
        assert schema.is_name(good)
    for bad in ("", "Images", "2024", "my-photos", "a.b", "a/b", "_a", "a" * 64, "a\n"):
        assert not schema.is_name(bad)


def test_all_that_is_sorted_filtered_and_grouped_is_an_attribute() -> None:
    attributes = {field.name for field in schema.RECORD if field.is_attribute}
    maps = {field.name for field in schema.RECORD if field.type.startswith("map<")}
    for column in (*tokens.NUMBERS, *ORDERS.values()):
        assert schema.COLUMNS[column] in attributes
    assert {*schema.COLUMNS.values(), *schema.FACETS.values(), "tokens", "terms"} <= attributes
    assert maps == set(schema.OWN.values())
    assert set(schema.OWN) == set(tokens.ORDERED)
    assert set(tokens.FACETS) <= set(schema.FACETS)


def test_no_field_of_one_space_has_the_name_of_another() -> None:
    slots = [Slot("a", 8), Slot("a_2", 8), Slot("signs_a", 8), Slot("more_a", 8)]
    fields = [f.name for s in slots for f in s.fields("binary", Hnsw())]
    fields += [field.name for field in schema.RECORD]
    assert len(set(fields)) == len(fields)
