"""Read the prompt and the settings that image generators write into files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pixseek.metadata.fields import Findings

# The beginnings of the last line and of the second part in the text of Stable Diffusion's web UI.
_SETTINGS = re.compile(r"^Steps: \d{1,6}, ", re.MULTILINE)
_NEGATIVE = re.compile(r"^Negative prompt: ?", re.MULTILINE)

# InvokeAI's first format: a command line.
_COMMAND = re.compile(r'"((?:[^"\\]|\\.){1,20000})"\s*(-.*)?', re.DOTALL)

# ComfyUI writes a word before its JSON if the tag that holds it has no keyword.
_NAMED = re.compile(r"(?:prompt|workflow) ?:\s*(?=\{)", re.IGNORECASE)

_PROMPT = ("prompt", "positive_prompt", "Prompt", "sd_prompt")
_INSIDE = ("sui_image_params", "image", "meta")
_NEGATIVES = ("negative_prompt", "negativeprompt", "uc", "Negative Prompt")

# Inputs of ComfyUI's nodes that hold texts, and those with settings worth keeping.
_TEXTS = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt", "positive", "string", "value")
_NODE_SETTINGS = ("ckpt_name", "unet_name", "sampler_name", "scheduler", "steps", "cfg", "seed",
                  "noise_seed")  # fmt: skip
_MOST_NODES = 500


def put_generation(text: str, found: Findings, *, named: str = "") -> bool:
    """Put the prompt and settings from a generator's text into `found`.

    Args:
        text: a text from the file.
        found: receives the fields `prompt` and `generation`.
        named: the keyword of the text; some keywords are used only by generators.

    Returns:
        Whether a generator wrote the text.
    """
    text = text.strip()
    named_json = _NAMED.match(text)
    if named_json or text.startswith("{"):
        if named_json:
            text = text[named_json.end() :]
        return _put_json(text, found) or named_json is not None
    settings = _SETTINGS.search(text)
    negative = _NEGATIVE.search(text)
    if settings or (negative and named == "parameters"):
        cut = min(each.start() for each in (settings, negative) if each)
        found.put("prompt", text[:cut])
        found.put("generation", "; ".join(text[cut:].splitlines()))
        return True
    if named == "Dream" and (command := _COMMAND.fullmatch(text)):
        found.put("prompt", command[1])
        found.put("generation", command[2])
        return True
    if text and named in ("parameters", "prompt"):
        found.put("prompt", text)
        return True
    return False


def _put_json(text: str, found: Findings) -> bool:
    """Put the prompt and settings in a JSON text into `found`; return whether there was a prompt.

    ComfyUI writes a graph of nodes; other generators write an object with the keys above.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # truncated, or not JSON
        return False
    if not isinstance(content, dict):
        return False
    for name in _INSIDE:
        if isinstance(content.get(name), dict):
            content = content[name]
    nodes = {
        str(number): node
        for number, node in list(content.items())[:_MOST_NODES]
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    if nodes:
        _put_graph(nodes, found)
        return True
    prompt = next((content[name] for name in _PROMPT if content.get(name)), None)
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):  # sd-metadata
        prompt = prompt[0].get("prompt")
    if not isinstance(prompt, str):
        return False
    found.put("prompt", prompt)
    negative = next((content[name] for name in _NEGATIVES if content.get(name)), None)
    others = {
        name: value
        for name, value in content.items()
        if name not in (*_PROMPT, *_NEGATIVES) and isinstance(value, str | int | float) and value
    }
    found.put("generation", _settings(negative, others))
    return True


def _settings(negative: object, others: Mapping[str, object]) -> str:
    parts = [f"Negative prompt: {negative}"] if isinstance(negative, str) else []
    parts += [", ".join(f"{name}: {value}" for name, value in others.items())]
    return "; ".join(part for part in parts if part)


def _put_graph(nodes: Mapping[str, dict[str, Any]], found: Findings) -> None:
    """Put the texts that lead to the sampler of a ComfyUI graph, and its settings, into `found`."""
    samplers = [node["inputs"] for node in nodes.values() if "positive" in node["inputs"]]
    drawn = samplers[0] if samplers else {}
    prompt = list(_texts_of(drawn.get("positive"), nodes, set()))
    if not prompt:
        encoders = [
            key for key, node in nodes.items() if "TextEncode" in str(node.get("class_type"))
        ]
        prompt = [text for key in encoders for text in _texts_of([key], nodes, set())]
    found.put("prompt", ", ".join(dict.fromkeys(prompt)))
    negative = ", ".join(_texts_of(drawn.get("negative"), nodes, set()))
    others = {
        name: node["inputs"][name]
        for name in _NODE_SETTINGS
        for node in nodes.values()
        if isinstance(node["inputs"].get(name), str | int | float)
    }
    found.put("generation", _settings(negative or None, others))


def _texts_of(link: object, nodes: Mapping[str, dict[str, Any]], seen: set[str]) -> Iterator[str]:
    """Yield the texts of the node that a link names; if it has none, those of its input nodes."""
    if not isinstance(link, list) or not link or str(link[0]) in seen or len(seen) > 50:
        return
    seen.add(str(link[0]))
    inputs = nodes.get(str(link[0]), {}).get("inputs", {})
    texts = [inputs[name] for name in _TEXTS if isinstance(inputs.get(name), str)]
    if any(texts):
        yield from filter(None, texts)
        return
    for each in inputs.values():
        yield from _texts_of(each, nodes, seen)
