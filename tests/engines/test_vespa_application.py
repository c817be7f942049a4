"""Application packages for Vespa: their files, and what Vespa's own code says of them.

Above 500 lines because half of it is tables: packages, queries and operations, good and bad.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixseek.config import load_config
from pixseek.engines import facets, tokens
from pixseek.engines.stored_fields import ORDERS
from pixseek.engines.vespa import schema, templates
from pixseek.engines.vespa.application import Application, Model, write
from pixseek.engines.vespa.schema import Hnsw, Slot
from pixseek.errors import ConfigError, EngineError, StorageError
from pixseek.library import vespa

from vespa_check import Checker

CLIP = Model("clip-b32-openai", Slot("clip_b32_openai", 512))
ODD = Model("team/odd (v2)", Slot("team_odd_v2", 20))  # no whole number of bytes in signs
ONE = Application("images", (CLIP,))
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
HOSTS = ("localhost", "127.0.0.2", "127.0.0.3", "127.0.0.4")

#: Applications of each kind that there is.
VARIANTS = {
    "one model": ONE,
    "several models in 32 bits": Application("photos_2024", (CLIP, ODD), "float", Hnsw(32, 500)),
    "signs": Application("images", (CLIP, ODD), "binary"),
    "nodes": replace(ONE, hosts=HOSTS, redundancy=2),
    "groups": replace(ONE, hosts=HOSTS, redundancy=4, groups=2),
    "a group of each node": replace(ONE, hosts=HOSTS, redundancy=4, groups=4),
    "certificates": replace(ONE, mtls="/etc/tls & <keys>"),
    "certificates on nodes": replace(ONE, hosts=HOSTS[:2], mtls="/etc/tls"),
    "cloud": replace(ONE, cloud=True, nodes=2, redundancy=2),
    "cloud with tokens": replace(
        ONE, cloud=True, nodes=4, redundancy=2, groups=2, tokens=("photos", "A-1"),
        certificates=PEM,
    ),
}  # fmt: skip


# ------------------------------------------------------------------ fields as data


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
    for good in ("images", "photos_2024", "a", "from_a"):
        assert schema.is_name(good)
    for bad in (
        "",
        "Images",
        "2024",
        "my-photos",
        "a.b",
        "a/b",
        "_a",
        "a" * 64,
        "a\n",
        "from",
        "document",
    ):
        assert not schema.is_name(bad)


def test_all_that_is_sorted_filtered_and_grouped_is_an_attribute() -> None:
    attributes = {field.name for field in schema.RECORD if field.is_attribute}
    maps = {field.name for field in schema.RECORD if field.type.startswith("map<")}
    for column in (*tokens.NUMBERS, *ORDERS.values()):
        assert schema.COLUMNS[column] in attributes
    assert {*schema.COLUMNS.values(), *schema.FACETS.values(), "tokens", "terms"} <= attributes
    assert maps == set(schema.OWN.values())
    assert set(schema.OWN) == set(tokens.ORDERED)
    assert set(facets.FACETS) <= set(schema.FACETS)


def test_no_field_of_one_space_has_the_name_of_another() -> None:
    slots = [Slot("a", 8), Slot("a_2", 8), Slot("signs_a", 8), Slot("more_a", 8)]
    fields = [f.name for s in slots for f in s.fields("binary", Hnsw())]
    fields += [field.name for field in schema.RECORD]
    assert len(set(fields)) == len(fields)


# ------------------------------------------------------------------ writing


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_package_is_the_same_each_time_and_lists_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    made = write(first, VARIANTS["cloud with tokens"])
    assert write(second, VARIANTS["cloud with tokens"]) == made
    assert _content(first) == _content(second)
    assert sorted(_content(first)) == sorted(path.as_posix() for path in made)
    recipe = json.loads((first / "pixseek.json").read_bytes())
    assert set(recipe["files"]) | {"pixseek.json"} == set(_content(first))
    assert recipe["models"] == [{"name": CLIP.name, "slot": CLIP.slot.name, "dim": 512}]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "deep", first], "nothing is left beside it"


def test_a_package_is_brought_up_to_date_and_files_of_others_stay(tmp_path: Path) -> None:
    write(tmp_path, VARIANTS["nodes"])
    assert (tmp_path / "hosts.xml").is_file()
    (tmp_path / "security").mkdir()
    (tmp_path / "security" / "clients.pem").write_text(PEM)
    write(tmp_path, VARIANTS["several models in 32 bits"])
    assert sorted(_content(tmp_path)) == [
        "README.md", "pixseek.json", "schemas/photos_2024.sd", "schemas/photos_2024_library.sd",
        "search/query-profiles/default.xml", "security/clients.pem", "services.xml",
    ]  # fmt: skip


def _not_a_package(folder: Path) -> None:
    (folder / "services.xml").write_text("<services/>")


def _an_edited_file(folder: Path) -> None:
    write(folder, ONE)
    (folder / "services.xml").write_text("<services/>")


def _a_recipe_that_points_elsewhere(folder: Path) -> None:
    (folder / "pixseek.json").write_text(json.dumps({"files": {"../marker": ""}, "models": []}))


def _a_file_of_somebody_else(folder: Path) -> None:
    write(folder, ONE)
    (folder / "hosts.xml").write_text("<hosts/>")


def _a_file_that_is_a_link(folder: Path) -> None:
    write(folder, ONE)
    (folder / "services.xml").rename(folder.parent / "services.xml")
    (folder / "services.xml").symlink_to(folder.parent / "services.xml")


def _a_folder_that_is_a_link(folder: Path) -> None:
    write(folder, ONE)
    (folder / "schemas").rename(folder.parent / "schemas")
    (folder / "schemas").symlink_to(folder.parent / "schemas")


def _a_recipe_of_something_else(folder: Path) -> None:
    (folder / "pixseek.json").write_text("[1, 2]")


@pytest.mark.parametrize(
    "prepare",
    [
        _not_a_package,
        _an_edited_file,
        _a_file_of_somebody_else,
        _a_file_that_is_a_link,
        _a_folder_that_is_a_link,
        _a_recipe_that_points_elsewhere,
        _a_recipe_of_something_else,
    ],
)
def test_what_pixseek_did_not_write_is_never_overwritten(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (tmp_path / "marker").write_text("stays")
    prepare(folder)
    before = _content(tmp_path)
    with pytest.raises(EngineError) as caught:
        write(folder, replace(ONE, hosts=("localhost",), type="float"))
    assert caught.value.advice
    assert _content(tmp_path) == before


def test_a_package_whose_models_can_not_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "package"

    def fail(beside: Path) -> Application:
        (beside / "half.onnx").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    for _ in range(2):
        with pytest.raises(StorageError, match="No space left"):
            write(folder, ONE, fail)
        assert list(tmp_path.iterdir()) == []

    def embed(beside: Path) -> Application:
        (beside / "embedders").mkdir()
        (beside / "embedders" / "text.onnx").write_bytes(b"tower")
        files = (Path("embedders/text.onnx"),)
        tower = replace(CLIP, component="<component/>", query="embed(text, @text)", files=files)
        return replace(ONE, models=(tower,))

    write(folder, ONE, embed)
    assert (folder / "embedders" / "text.onnx").read_bytes() == b"tower"
    assert "    <component/>\n" in (folder / "services.xml").read_text()
    assert "'input.query(q)=embed(text, @text)' 'text=" in (folder / "README.md").read_text()
    write(folder, ONE)
    assert not (folder / "embedders" / "text.onnx").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": ()}, "no model"),
        ({"name": "My-Photos"}, "document type"),
        ({"name": "a/../b"}, "document type"),
        ({"hosts": ("a b",)}, "host"),
        ({"hosts": ('a"/>',)}, "host"),
        ({"hosts": ("a", "a")}, "twice"),
        ({"hosts": ("a", "b", "c"), "groups": 2, "redundancy": 2}, "groups"),
        ({"hosts": ("a", "b"), "groups": 2, "redundancy": 1}, "copies"),
        ({"redundancy": 2}, "fewer nodes"),
        ({"mtls": "certificates"}, "nodes"),
        ({"mtls": "/etc/\ntls"}, "nodes"),
        ({"cloud": True, "hosts": ("a",)}, "Vespa Cloud"),
        ({"cloud": True, "mtls": "/etc/tls"}, "Vespa Cloud"),
        ({"tokens": ("photos",)}, "Vespa Cloud"),
        ({"certificates": PEM}, "Vespa Cloud"),
        ({"cloud": True, "tokens": ('"/>',)}, "token"),
        ({"cloud": True, "certificates": "text"}, "certificate"),
        ({"cloud": True, "certificates": PEM + "-----BEGIN PRIVATE KEY-----"}, "private key"),
    ],
)
def test_what_can_not_be_an_application_is_refused(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "package", replace(ONE, **changed))
    assert said in caught.value.problem
    assert caught.value.advice
    assert _content(tmp_path) == {}


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (ONE, ["vespa deploy --wait 300 .", "--engine 'vespa+http://localhost:8080/images'"]),
        (VARIANTS["nodes"], ["VESPA_CONFIGSERVERS=localhost,127.0.0.2,127.0.0.3 "
                             "vespaengine/vespa services", "vespa+http://localhost:8080/images"]),
        (VARIANTS["certificates"], ["vespa+https://localhost:8443/images?cert=", "&ca="]),
        (VARIANTS["cloud"], ["vespa auth cert", "vespa+https://ENDPOINT:443/images?cert="]),
        (replace(VARIANTS["cloud"], name="photos__of_the_whole_archive"),
         ["set application TENANT.photos-of-the-whole\n"]),
        (VARIANTS["cloud with tokens"], ["PIXSEEK_ENGINE_API_KEY",
                                         "vespa+https://ENDPOINT:443/images'"]),
        (VARIANTS["signs"], ["nearestNeighbor(signs_clip_b32_openai, qb)", "'input.query(qb)=",
                             "'vespa+http://localhost:8080/images?type=binary'"]),
        (VARIANTS["several models in 32 bits"], ["pixseek reindex --keep --model 'team/odd (v2)'"]),
    ],
)  # fmt: skip
def test_the_readme_has_the_commands(made: Application, lines: Sequence[str]) -> None:

    text = templates.readme(made)
    for line in lines:
        assert line in text


# ------------------------------------------------------------------ Vespa's own code


@pytest.mark.slow
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_vespa_accepts_packages_of_each_kind(
    tmp_path: Path, vespa_check: Checker, variant: str
) -> None:
    write(tmp_path / "package", VARIANTS[variant])
    said = vespa_check(tmp_path / "package").package
    assert said.ok, said.error
    assert said.warnings == ()


@pytest.mark.slow
def test_vespa_accepts_every_name_that_pixseek_accepts(
    tmp_path: Path, vespa_check: Checker
) -> None:
    """Also words of the languages of schemas, queries, groups and selections."""
    words = (
        "schema field select from where order by limit offset sources index type string true "
        "false default and or not in contains range rank near text asc desc null document id "
        "timeout group each output max sum now user scheme query music userquery all matches "
        "admin client expression hosts native position routing vespa container clients search"
    ).split()
    refused = []
    for word in words:
        if not schema.is_name(word):
            refused.append(word)
            continue
        package = tmp_path / word
        write(package, Application(word, (Model("m", Slot("m", 8)),)))
        said = vespa_check(
            package,
            [f"select id from {word} where true", f"select content from {word}_library where true"],
            [{"put": f"id:pixseek:{word}::a", "condition": f"{word}.version_m == 3", "fields": {}}],
        )
        wrong = [each for each in (said.package, *said.queries, *said.feed) if not each.ok]
        assert wrong == [], word
    assert {"from", "and", "default", "document", "admin", "expression"} <= set(refused)


@pytest.mark.slow
def test_vespa_accepts_the_study_of_six_models(tmp_path: Path, vespa_check: Checker) -> None:
    config = load_config(library=tmp_path / "none.lib", models_dir=tmp_path / "models")
    names = (
        "clip-rn50-openai", "clip-rn101-openai", "clip-rn50x4-openai", "clip-rn50x16-openai",
        "clip-b32-openai", "clip-b16-openai",
    )  # fmt: skip
    options = {"name": "images", "type": "bfloat16"}
    made = vespa.write(tmp_path / "package", config, models=names, **options)
    assert made.models == names
    dims = [1024, 512, 640, 768, 512, 512]
    queries = [
        {
            "yql": "select id from images where "
            f"{{targetHits: 10}}nearestNeighbor(vector_{name.replace('-', '_')}, q)",
            "ranking": f"closeness_{name.replace('-', '_')}",
            "input.query(q)": [1.0] * dim,
        }
        for name, dim in zip(names, dims, strict=True)
    ]
    said = vespa_check(made.folder, queries)
    assert said.package == (True, "", ())
    assert [each for each in said.queries if not each.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bfloat16", "binary"])
def test_vespa_accepts_text_towers_and_the_queries_of_the_readme(
    tmp_path: Path, vespa_check: Checker, kind: str
) -> None:
    config = load_config(library=tmp_path / "none.lib", models_dir=tmp_path / "models")
    made = vespa.write(
        tmp_path / "package", config, models=("demo", "demo"), embed=True, name="images", type=kind
    )
    assert Path("embedders/text_demo_2.onnx") in made.files
    readme = (made.folder / "README.md").read_text()
    queries = [
        dict(parameter.split("=", 1) for parameter in shlex.split(line)[2:])
        for line in readme.splitlines()
        if line.startswith("vespa query ")
    ]
    assert [each["ranking"].partition("_")[2] for each in queries] == ["demo", "demo_2", ""]
    services = (made.folder / "services.xml").read_text()
    for tower, query in zip(("text", "text_demo_2"), queries, strict=False):
        # The checker runs no embedder, so numbers stand in for what one returns.
        assert query.pop("text")
        for name, value in query.items():
            if name.startswith("input."):
                assert value == f"embed({tower}, @text)"
                numbers = [1] * 16 if name == "input.query(qb)" else [0.1] * 128
                query[name] = json.dumps(numbers)
        assert f'<component id="{tower}" type="hugging-face-embedder">' in services
    said = vespa_check(made.folder, queries)
    assert said.package == (True, "", ())
    assert [each for each in said.queries if not each.ok] == []


#: By what is broken: a file, a text in it, by what it is replaced, and a word of Vespa's reason.
BROKEN = {
    "a brace too few": ("schemas/images.sd", "    fieldset default {", "    fieldset {", "parsing"),
    "an unknown type": ("schemas/images.sd", "year type int {", "year type year {", "year"),
    "closeness of no field": (
        "schemas/images.sd", "(closeness(field, vector_", "(closeness(field, victor_", "victor_"),
    "bm25 of an attribute": ("schemas/images.sd", "bm25(text)", "bm25(camera)", "camera"),
    "a graph of texts": (
        "schemas/images.sd", "index: enable-bm25",
        "index {\nhnsw {\nmax-links-per-node: 16\n}\n}", "hnsw"),
    "an input of another size": (
        "schemas/images.sd", "query(q) tensor<float>(x[512])", "query(q) tensor<float>(x[511])",
        "512"),
    "a field twice": (
        "schemas/images.sd", "field height type long", "field width type long", "width"),
    "fast-search of a tensor": (
        "schemas/images.sd", "distance-metric: prenormalized-angular", "fast-search", "fast"),
    "a fieldset of no field": ("schemas/images.sd", "fields: text", "fields: texts", "texts"),
    "an unknown distance": (
        "schemas/images.sd", "prenormalized-angular", "prenormalised-angular", "PRENORMALISED"),
    "a document type without a schema": (
        "services.xml", 'type="images_library"', 'type="images_more"', "images_more"),
    "an unknown element": ("services.xml", "<search/>", "<searches/>", "searches"),
    "a component without its file": (
        "services.xml", "<search/>", '<search/><component id="t" type="hugging-face-embedder">'
        '<transformer-model path="models/none.onnx"/><tokenizer-model path="models/none.json"/>'
        "</component>", "none"),
    "a node without an alias": (
        "services.xml", '<node hostalias="node1"/>', '<node hostalias="node9"/>', "node9"),
    "a query profile cut off": (
        "search/query-profiles/default.xml", "</query-profile>", "", "default.xml"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", list(BROKEN))
def test_vespa_refuses_packages_that_are_broken(
    tmp_path: Path, vespa_check: Checker, what: str
) -> None:
    package = tmp_path / "package"
    write(package, replace(ONE, hosts=("localhost",)))
    name, old, new, reason = BROKEN[what]
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new, 1))
    said = vespa_check(package).package
    assert not said.ok
    assert reason in said.error


def _unit(dim: int, seed: int = 1) -> list[float]:
    row = np.random.default_rng(seed).normal(size=dim)
    return [float(number) for number in (row / np.linalg.norm(row)).round(6)]


#: What is asked of the application "signs", by hand and by pixseek.
GOOD_QUERIES: list[str | dict[str, Any]] = [
    "select id, uri from images where true order by uri desc, taken_at limit 20 offset 5",
    "select * from images where width > 1000 and aspect < 1.5 and year = 2019",
    "select id from images where mtime >= 1700000000123456789L and !(away = true)",
    'select id from images where tags contains "beach" and camera in ("Canon R5", "Nikon Z 9")',
    'select id from images where own_integers contains sameElement(key contains "rating", '
    "value >= 4)",
    'select id from images where geoLocation(location, 63.5, 10.5, "200 km")',
    "select id from images where true limit 0 | all(group(folder_uri) max(20) order(-count()) "
    "each(output(count())))",
    "select id from images where true limit 0 | all(group(tags) each(output(count()))) "
    "| all(group(year) each(output(count())))",
    {"yql": "select id from images where true", "hits": 10_000, "offset": 90_000},
    {"yql": "select id from images where userQuery()", "query": "red car", "ranking": "text"},
    {"yql": "select id from images where stems_strong contains @w or stems_weak contains @w",
     "w": "frisbe", "ranking": "words"},
    {"yql": "select id from images where tokens contains @one", "one": 'x"; or true', "hits": 5},
    {"yql": "select * from images where {targetHits: 10}nearestNeighbor(vector_team_odd_v2, q)",
     "ranking": "closeness_team_odd_v2", "input.query(q)": _unit(20),
     "summary": "whole_team_odd_v2"},
    {"yql": "select id from images where {targetHits: 10, approximate: false}"
     "nearestNeighbor(vector_team_odd_v2, q) or ({targetHits: 10}"
     "nearestNeighbor(more_team_odd_v2, q))",
     "ranking": "closeness_team_odd_v2", "input.query(q)": _unit(20)},
    {"yql": "select id from images where {targetHits: 100}nearestNeighbor(signs_team_odd_v2, qb) "
     "or ({targetHits: 100}nearestNeighbor(moresigns_team_odd_v2, qb))",
     "ranking": "binary_team_odd_v2", "input.query(q)": _unit(20), "input.query(qb)": [1, -2, 3]},
    {"yql": "select id from images where userQuery() or ({targetHits: 100}"
     "nearestNeighbor(signs_team_odd_v2, qb))", "query": "red car",
     "ranking": "hybrid_team_odd_v2", "input.query(q)": _unit(20), "input.query(qb)": [1, -2, 3]},
    {"yql": "select id from images where true", "ranking": "exact_team_odd_v2",
     "input.query(q)": _unit(20)},
    'select content from images_library where kind contains "search"',
]  # fmt: skip

BAD_QUERIES: list[tuple[str | dict[str, Any], str]] = [
    ("select id from images where shutter > 5", "shutter"),
    ("select id from images where true order by caption", "caption"),
    ("select id from photos where true", "photos"),
    ("select id from images where true | all(group(caption) each(output(count())))", "caption"),
    ({"yql": "select id from images where true", "hits": 10_001}, "10001"),
    ({"yql": "select id from images where true", "offset": 100_001}, "100001"),
    ({"yql": "select id from images where true", "ranking": "closeness"}, "closeness"),
    ({"yql": "select id from images where true", "summary": "everything"}, "everything"),
    ({"yql": "select id from images where tokens contains @one"}, "one"),
    ({"yql": "select id from images where nearestNeighbor(vector_team_odd_v2, q)",
      "ranking": "closeness_team_odd_v2", "input.query(q)": _unit(20)}, "targetHits"),
    ({"yql": "select id from images where {targetHits: 1}nearestNeighbor(vector_team_odd_v2, q)",
      "ranking": "closeness_team_odd_v2", "input.query(q)": _unit(19)}, "19"),
    ({"yql": "select id from images where {targetHits: 1}nearestNeighbor(vector_team_odd_v2, q)",
      "ranking": "closeness_clip_b32_openai", "input.query(q)": _unit(512)}, "x[20]"),
    ({"yql": "select id from images where {targetHits: 1}nearestNeighbor(signs_team_odd_v2, qb)",
      "ranking": "binary_team_odd_v2", "input.query(qb)": [1, 2, 300]}, "300"),
]  # fmt: skip


def _put(**fields: Any) -> dict[str, Any]:
    return {"put": "id:pixseek:images::a b/ü", "fields": {"id": "a b/ü", **fields}}


GOOD_FEED = [
    _put(
        uri="root/a.jpg", tags=["Beach", "beach"], width=4000, aspect=1.5, taken_at=-1, away=False,
        location={"lat": 63.5, "lng": 10.5}, own_integers={"rating": 2**63 - 1},
        own_reals={"score": 1e-300}, tokens=["text.6.camera=Canon \x7f"], terms=["a", "a b"],
        stems_strong=["frisbe", "frisbe"], place_high=2**62, digest="00",
    ),
    _put(
        vector_team_odd_v2={"values": _unit(20)}, record_team_odd_v2="[]",
        vectors_team_odd_v2="AAAA", parts_team_odd_v2=3, version_team_odd_v2=7,
        more_team_odd_v2={"blocks": {"1": _unit(20, 2), "2": _unit(20, 3)}},
    ),
    {"update": "id:pixseek:images::a", "create": True, "condition": "images.version_team_odd_v2==7",
     "fields": {"vector_team_odd_v2": {"assign": {"values": _unit(20)}}, "width": {"assign": 5},
                "tags": {"add": ["sea"]}, "year": {"assign": None},
                "more_team_odd_v2": {"assign": {"blocks": {}}}}},
    {"remove": "id:pixseek:images::a", "condition": "images.version_team_odd_v2==8"},
    {"put": "id:pixseek:images_library::spaces", "fields": {"content": "{}", "version": 1}},
]  # fmt: skip

BAD_FEED = [
    (_put(shutter=5), "shutter"),
    (_put(width="wide"), "wide"),
    (_put(width=2**63), "9223372036854775808"),
    (_put(tags="beach"), "tags"),
    (_put(vector_team_odd_v2={"values": _unit(19)}), "19"),
    (_put(more_team_odd_v2={"blocks": {"1": _unit(21)}}), "20"),
    (_put(caption="a \x01"), "0x1"),
    ({"put": "id:pixseek:photos::a", "fields": {}}, "photos"),
    ({"update": "id:pixseek:images::a", "condition": "images.version ==", "fields": {}}, "version"),
]


@pytest.mark.slow
def test_vespa_tells_good_queries_and_operations_from_bad_ones(
    tmp_path: Path, vespa_check: Checker
) -> None:
    write(tmp_path / "package", VARIANTS["signs"])
    said = vespa_check(
        tmp_path / "package",
        [*GOOD_QUERIES, *(query for query, _ in BAD_QUERIES)],
        [*GOOD_FEED, *(operation for operation, _ in BAD_FEED)],
    )
    for good, bad, verdicts in (
        (GOOD_QUERIES, BAD_QUERIES, said.queries),
        (GOOD_FEED, BAD_FEED, said.feed),
    ):
        for asked, verdict in zip(good, verdicts, strict=False):
            assert verdict.ok, (asked, verdict.error)
        for (asked, reason), verdict in zip(bad, verdicts[len(good) :], strict=True):
            assert not verdict.ok, asked
            assert reason in verdict.error, (asked, verdict.error)
