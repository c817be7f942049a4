"""The texts of a PNG, the comments of JPEG and GIF, and the prompts of image generators."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.ExifTags import Base

from metadata.blocks import exif_block, read, xmp_packet


def texts(**written: str | bytes) -> dict[str, bytes]:
    """Texts by keyword."""
    return {
        keyword: text.encode() if isinstance(text, str) else text
        for keyword, text in written.items()
    }


def fields(**written: str | bytes) -> dict[str, Any]:
    found = read(texts=texts(**written)).fields
    return {name: value for name, value in found.items() if name != "taken_from"}


# ------------------------------------------------------------------ what people write


def test_the_standard_texts_of_a_png_are_read() -> None:
    written = texts(
        Title="Am See", Description="Ein Boot\nauf dem See", Comment="blurred", Author="Jörg",
        Copyright=b"\xa9 J\xf6rg", Software="Krita 5.2",
    )  # fmt: skip
    found = read(texts=written)
    assert found.caption == "Ein Boot\nauf dem See"
    assert dict(found.fields) == {
        "title": "Am See", "artist": "Jörg", "copyright": "© Jörg",
        "software": "Krita 5.2",
    }  # fmt: skip


@pytest.mark.parametrize("gone", range(4))
def test_the_caption_is_the_first_text_in_the_documented_order(gone: int) -> None:
    keywords = ("Description", "ImageDescription", "Comment", "Title")[gone:]
    assert read(texts={each: each.encode() for each in keywords}).caption == keywords[0]


@pytest.mark.parametrize(
    "comment",
    ["CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90\n", "Created with GIMP",
     "Created with The GIMP", "comment in GIMP 2.4.5", "Lavc58.54.100",
     "File written by Adobe Photoshop\xa8 4.0", "LEAD Technologies Inc. V1.01", "AppleMark\n",
     "Processed By eBay with ImageMagick, z1.1.0. ||B2", "Optimized by JPEGmini 3.9.20.0L",
     "GIF edited with https://ezgif.com/optimize", "Created by OpenJPEG version 2.5.0",
     "Intel(R) JPEG Library, version [2.0.16.48]", "xr:d:DAFabc:2,j:123,t:23",
     '{"camera": "settings"}', "{}", '<?xml version="1.0"?><OME/>', "ImageJ=1.53t\nimages=3",
     "  \n"],
)  # fmt: skip
def test_comments_written_by_programs_are_not_captions(comment: str) -> None:
    assert read(texts={"Comment": comment.encode()}).caption == ""


@pytest.mark.parametrize(
    "comment",
    ["Created by my daughter", "In Kakadu National Park", "An adobe house", "made with love",
     "Lavcová at the window", "Body paint shop in Detroit", "{curly} hair", "<3"],
)  # fmt: skip
def test_comments_that_resemble_those_of_programs_are_captions(comment: str) -> None:
    assert read(texts={"Comment": comment.encode()}).caption == comment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 03 May 2021 14:22:33 +0200",
         datetime(2021, 5, 3, 14, 22, 33, tzinfo=timezone(timedelta(hours=2)))),
        ("Mon, 03 May 2021 12:22:33 GMT", datetime(2021, 5, 3, 12, 22, 33, tzinfo=UTC)),
        ("Mon 03 May 2021 14:22:33 CEST", datetime(2021, 5, 3, 14, 22, 33)),
        ("2021:05:03 14:22:33", datetime(2021, 5, 3, 14, 22, 33)),
        ("2021-05-03T14:22:33Z", datetime(2021, 5, 3, 14, 22, 33, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_creation_times_are_parsed(text: str, expected: datetime) -> None:
    found = read(texts={"Creation Time": text.encode()})
    assert (found.taken_at, found.taken_from) == (expected, "png")


@pytest.mark.parametrize(
    "text", ["", "yesterday", "Mon 03 May 2021 02:22:33 PM CEST", "0000:00:00"]
)
def test_invalid_creation_times_are_ignored(text: str) -> None:
    found = read(texts={"Creation Time": text.encode()})
    assert (found.taken_at, found.taken_from) == (None, "")


# ------------------------------------------------------------------ generators

WEB_UI = (
    "a red boat on a lake, (fog:1.2)\noil painting\nNegative prompt: people, text\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512, Model: v1-5"
)
DRAWN = {
    "prompt": "a red boat on a lake, (fog:1.2) oil painting",
    "generation": "Negative prompt: people, text; "
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512, Model: v1-5",
}
GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 42, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal",
        "model": ["4", 0], "positive": ["10", 0], "negative": ["7", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red boat", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "people", "clip": ["4", 1]}},
    "10": {"class_type": "ConditioningCombine",
           "inputs": {"conditioning_1": ["6", 0], "conditioning_2": ["10", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
}  # fmt: skip
FROM_GRAPH = {
    "prompt": "a red boat",
    "generation": "Negative prompt: people; ckpt_name: v1-5.safetensors, sampler_name: euler, "
    "scheduler: normal, steps: 20, cfg: 8.0, seed: 42",
}


def test_prompts_of_stable_diffusion_s_web_ui_are_read() -> None:
    assert fields(parameters=WEB_UI) == DRAWN
    assert fields(Comment=WEB_UI) == DRAWN
    assert fields(parameters="a red boat") == {"prompt": "a red boat"}
    exif = exif_block(photo={Base.UserComment: b"ASCII\0\0\0" + WEB_UI.encode()})
    xmp = xmp_packet(f"<exif:UserComment>{WEB_UI}</exif:UserComment>")
    for found in (read(exif=exif), read(xmp=xmp)):
        assert found.caption == ""
        assert dict(found.fields) == {**DRAWN}


def test_prompts_of_comfy_ui_are_read() -> None:
    assert fields(prompt=json.dumps(GRAPH)) == FROM_GRAPH
    exif = exif_block({
        Base.Make: 'workflow:{"nodes": []}', Base.Model: f"prompt:{json.dumps(GRAPH)}"
    })  # fmt: skip
    assert dict(read(exif=exif).fields) == {**FROM_GRAPH}


def test_prompts_of_comfy_ui_without_a_sampler_are_read() -> None:
    nodes = {key: GRAPH[key] for key in ("6", "9")}
    assert fields(prompt=json.dumps(nodes)) == {"prompt": "a red boat"}


@pytest.mark.parametrize(
    "written",
    [
        {"invokeai_metadata":
         '{"positive_prompt": "a boat", "negative_prompt": "fog", "seed": 42}'},
        {"parameters": '{"sui_image_params": {"prompt": "a boat", "negativeprompt": "fog",'
         '"seed": 42}}'},
        {"Comment": '{"prompt": "a boat", "uc": "fog", "seed": 42}', "Description": "a boat",
         "Source": "Stable Diffusion"},
    ],
)  # fmt: skip
def test_prompts_in_json_are_read(written: dict[str, str]) -> None:
    found = read(texts=texts(**written))
    assert found.caption == ""
    assert dict(found.fields) == {
        "prompt": "a boat", "generation": "Negative prompt: fog; seed: 42"
    }  # fmt: skip


def test_prompts_of_older_invoke_ai_are_read() -> None:
    old = {"sd-metadata": b'{"model": "sd", "image": {"prompt": [{"prompt": "a boat"}]}}'}
    assert read(texts=old).fields["prompt"] == "a boat"
    assert fields(Dream='"a boat" -s 50 -S 42') == {"prompt": "a boat", "generation": "-s 50 -S 42"}


def test_a_prompt_is_not_a_caption_but_a_description_next_to_it_is() -> None:
    exif = exif_block({Base.ImageDescription: "for the cover"})
    found = read(exif=exif, texts=texts(parameters=WEB_UI))
    assert (found.caption, found.fields["prompt"]) == ("for the cover", DRAWN["prompt"])


# ------------------------------------------------------------------ anything


@pytest.mark.parametrize(
    "text",
    ['{"prompt": ' * 20_000, "[" * 100_000, '{"prompt": {"a": 1}}', '{"1": {"inputs": {}}}', "{",
     '{"1": {"inputs": {"positive": ["1", 0]}}}', '{"1": {"inputs": {"positive": [["1"]]}}}',
     '{"prompt": [{}]}', '{"prompt": NaN, "image": {"image": 1}}', '"' + "\\" * 100_000,
     "Negative prompt: " * 10_000],
)  # fmt: skip
def test_malformed_texts_of_generators_are_ignored(text: str) -> None:
    for keyword in ("parameters", "prompt", "Dream", "Comment", "invokeai_metadata"):
        assert read(texts={keyword: text.encode()}).taken_at is None


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(
    st.sampled_from(["Title", "Comment", "Creation Time", "parameters", "prompt", "Dream"]),
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.recursive(
        st.none() | st.text(max_size=5) | st.integers() | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["prompt", "inputs", "positive", "text", "1", "image"]), inner),
    ).map(lambda value: json.dumps(value).encode()),
))  # fmt: skip
def test_any_texts_are_read_without_an_exception(written: dict[str, bytes]) -> None:
    found = read(texts=written)
    assert not any("broken text" in note for note in found.notes)
