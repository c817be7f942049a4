"""Write a text tower as two files that run without pixseek; see `types.TextTower`.

Programs that embed texts by models of Hugging Face tokenize a text, do not pad it, and pool the
vectors of its tokens. A CLIP text tower does more itself, and families differ: some need their
padding, some have no mask, some read 32-bit integers. So nodes are put around the graph: before it
what pads the text and adds the inputs that such programs lack, after it an axis of one token. What
pixseek does to a text before it is tokenized becomes part of the tokenizer.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.inputs.cleaning import normalizers_of
from pixseek.encoders.inputs.tokens import TextRules, Tokens
from pixseek.encoders.runtimes.graph import Graph, Port
from pixseek.encoders.runtimes.towers import first_line, open_session
from pixseek.errors import ModelError
from pixseek.types import TextTower
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from pixseek.types import Vectors

#: Names of the inputs and the output.
IDS, MASK, EMBEDDING = "input_ids", "attention_mask", "text_embeds"

#: Least cosine of the files' vectors with the encoder's.
AGREEMENT = 0.9999

#: The same for a graph that is rewritten to take shorter texts: rounding alone.
SAME = 0.999999

#: Weights of more bytes are stored in 16 bits: a protocol buffer holds at most 2 GiB, and the
#: weights must be in the same file.
INLINE_BYTES = 1_900_000_000

#: Prefix of the names of the tower's own nodes, and of those that are added.
_TOWER, _OURS = "tower/", "pixseek/"

#: Texts on which the files are compared with the encoder.
_SAMPLES = (
    "",
    "dog",
    "A red bicycle leaning against a white wall",
    "two children in yellow rain coats jump into a puddle, while an old man with a hat looks on",
    "the sea and the sky " * 60,
    "  3 DOGS,\n12 cats &amp; 1,000.50 mice!? (really) #tag @you a_b  ",
    "Ein großer Hund läuft über die Straße. Ίσως ΣΑΣ",
    "собака бежит по пляжу",
    "一只狗在沙滩上奔跑",
    "海辺を走る犬 カタカナ ｶﾀｶﾅ",
    "كلب يجري على الشاطئ",
    "“quoted” it’s ﬁne — ½ 🐕",
)


@dataclass(frozen=True, slots=True)
class Tower:
    """A text tower to write.

    Attributes:
        name: of its model.
        graph: its file.
        output: the output with one vector per text.
        rules: how its texts are tokenized.
        tokens: its tokenizer, by these rules.
        length: number of tokens to which it needs every text padded; None for no padding.
        cut: whether it needs that only because its graph has a fixed length.
        encode: returns the unit rows of texts, (n, dim) float32, that the files must give too.
        dim: length of the vectors.
    """

    name: str
    graph: Graph
    output: Port
    rules: TextRules
    tokens: Tokens
    length: int | None
    cut: bool
    encode: Callable[[Sequence[str]], Vectors]
    dim: int


def write(tower: Tower, graph: Path, tokenizer: Path) -> TextTower:
    """Write a text tower's two files, if they give the encoder's vectors.

    Args:
        tower: what to write.
        graph: path of the ONNX file.
        tokenizer: path of the tokenizer.

    Raises:
        ModelError: the tower can't be expressed like that, or the files would give other vectors
            and were removed, or they can't be written.
    """
    written = TextTower(graph, tokenizer, tower.length or tower.tokens.context, tower.dim)
    try:
        for path in (graph, tokenizer):
            path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.write_text(_tokenizer_of(tower), "utf-8")
        if not (tower.length and tower.cut and _written_short(tower, written)):
            _write_graph(tower, graph)
            _check(tower, written, AGREEMENT)
    except OSError as error:
        _remove(graph, tokenizer)
        raise ModelError(
            "a text tower can't be stored", graph.parent, f"{error}. Is the disk full or read-only?"
        ) from error
    except BaseException:
        _remove(graph, tokenizer)
        raise
    return written


def _remove(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def refused(name: str, why: str) -> ModelError:
    """Return the error for a tower that can't be written."""
    return ModelError(
        "this model's text tower can't run outside of pixseek",
        name,
        f"{why[0].upper()}{why[1:]}. Embed texts with pixseek instead, as it does by default.",
    )


# ------------------------------------------------------------------ the tokenizer


def _tokenizer_of(tower: Tower) -> str:
    """Return the tokenizer.json: with the cleaning of texts, without padding and truncation.

    The program that runs it truncates to the `context` in its settings. A limit in the file could
    overrule that.
    """
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_str(tower.tokens.to_json())
    cleaning = normalizers_of(tower.rules.cleaning)
    if cleaning:
        own = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([*cleaning, *own])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return str(tokenizer.to_str())


# ------------------------------------------------------------------ the graph


def _write_graph(tower: Tower, path: Path) -> None:
    import onnx
    from onnx import compose

    from pixseek.encoders.weights import shrink

    model = onnx.load(tower.graph.path)  # with weights from other files
    if _bytes_of(model) > INLINE_BYTES:
        shrink(model, whole=False)
        if (size := _bytes_of(model)) > INLINE_BYTES:
            raise refused(
                tower.name, f"it has {size >> 20:,} MiB, and one ONNX file holds at most 2,048"
            )
    del model.graph.value_info[:]
    for node in model.graph.node:  # notes of the program that traced it
        del node.metadata_props[:]
        node.doc_string = ""
    model = compose.add_prefix(model, _TOWER, inplace=True)
    _surround(tower, model.graph)
    onnx.save_model(model, path)


def _written_short(tower: Tower, written: TextTower) -> bool:
    """Write a graph of fixed length so that it takes short texts; return whether that succeeds.

    ViT-B/32 embeds a query of 7 tokens in a quarter of the time for all 77.
    """
    import onnxruntime as ort

    from pixseek.encoders.runtimes import graph as graphs
    from pixseek.encoders.runtimes.free_length import free_length

    assert tower.graph.tokens and tower.length
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Folds constants, and adds no operators that only this version of onnxruntime has.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            short = Path(temporary) / "short.onnx"
            options.optimized_model_filepath = str(short)
            open_session(tower.graph.path, options)
            _keep_domains(tower.graph.path, short)
            free_length(short, tower.graph.tokens.name, tower.length)
            free = replace(tower, graph=graphs.read(short), length=None)
            _write_graph(free, written.graph)
            _check(free, written, SAME)
    except Exception:  # onnx and onnxruntime raise many kinds without a common base
        return False
    return True


def _keep_domains(original: Path, path: Path) -> None:
    """Remove what onnxruntime adds to each file it writes: its own sets of operators."""
    import onnx

    known = {each.domain for each in onnx.load(original, load_external_data=False).opset_import}
    model = onnx.load(path)
    kept = [each for each in model.opset_import if each.domain in known]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save_model(model, path)


def _bytes_of(model: onnx.ModelProto) -> int:
    return sum(len(each.raw_data) for each in model.graph.initializer)


def _surround(tower: Tower, graph: onnx.GraphProto) -> None:
    """Put the nodes before and after a tower, all of whose names have the prefix."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    fixed = tower.graph.tokens.shape[0] if tower.graph.tokens else None
    if fixed not in (None, 1):
        raise refused(tower.name, f"its graph takes {fixed} texts at once, and no fewer")
    before: list[Any] = []

    def constant(name: str, value: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.int64), _OURS + name))
        return _OURS + name

    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        before.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    given = {"ids": IDS, "mask": MASK}
    if tower.length:
        # As much padding as the longest text could need, of which what is too much is cut off.
        rows = node("Gather", [node("Shape", [IDS], _OURS + "shape"), constant("first", [0])],
                    _OURS + "rows")  # fmt: skip
        whole = node("Concat", [rows, constant("length", [tower.length])], _OURS + "whole", axis=0)
        ends = (-tower.length, 2**62) if tower.rules.left else (0, tower.length)
        start, end = (constant(name, [at]) for name, at in zip(("start", "end"), ends, strict=True))
        for which, value in (("ids", tower.tokens.pad_id), ("mask", 0)):
            padding = node(
                "Expand", [constant(f"{which} pad", value), whole], f"{_OURS}{which} pads"
            )
            parts = [padding, given[which]] if tower.rules.left else [given[which], padding]
            longer = node("Concat", parts, f"{_OURS}longer {which}", axis=1)
            inputs = [longer, start, end, constant(f"{which} axis", [1])]
            given[which] = node("Slice", inputs, f"{_OURS}padded {which}")

    def fed(port: Port) -> str:
        if tower.graph.tokens and port.name == tower.graph.tokens.name:
            return given["ids"]
        if "mask" in port.name:
            return given["mask"]
        if "type" in port.name:
            return node("Mul", [given["ids"], constant("none", 0)], _OURS + "types")
        if "position" in port.name:
            shape = node("Shape", [given["ids"]], _OURS + "places")
            width = node("Gather", [shape, constant("second", 1)], _OURS + "width")
            inputs = [constant("from", 0), width, constant("step", 1)]
            return node(
                "Expand", [node("Range", inputs, _OURS + "range"), shape], _OURS + "position"
            )
        raise refused(tower.name, f"its graph has an unknown input, {port.name}")

    for port in tower.graph.inputs:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype or "int64"))
        node("Cast", [fed(port)], _TOWER + port.name, to=kind)
    shape = constant("one token", [-1, 1, tower.dim])
    rows = helper.make_node("Cast", [_TOWER + tower.output.name], [_OURS + "embedding"],
                            to=TensorProto.FLOAT)  # fmt: skip
    after = [rows, helper.make_node("Reshape", [_OURS + "embedding", shape], [EMBEDDING])]
    nodes = list(graph.node)
    for old in (graph.node, graph.input, graph.output):
        del old[:]
    graph.node.extend([*before, *nodes, *after])
    ports = ["batch" if fixed is None else 1, "tokens"]
    for name in (IDS, MASK):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, ports))
    graph.output.append(
        helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, [ports[0], 1, tower.dim])
    )


# ------------------------------------------------------------------ the check


def _check(tower: Tower, written: TextTower, least: float) -> None:
    """Check that the files give the encoder's vectors.

    Raises:
        ModelError: they don't.
    """
    import numpy as np

    texts, rows = _embedded(tower, written)
    wanted = tower.encode(texts).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.nan_to_num((rows * wanted).sum(1) / lengths, nan=-1)
    worst = int(cosines.argmin())
    if cosines[worst] < least:
        raise refused(
            tower.name,
            f"its files would give other vectors: a cosine of {cosines[worst]:.4f} for "
            f"{texts[worst][:40]!r}",
        )


def _embedded(tower: Tower, written: TextTower) -> tuple[list[str], NDArray[np.float64]]:
    """Return sample texts with their vectors from the files, (n, dim) float64."""
    import numpy as np
    import onnxruntime as ort
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(written.tokenizer))
    tokenizer.enable_truncation(written.context)
    texts, rows = [], []
    try:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = open_session(written.graph, options)
        for text in _SAMPLES:
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            if ids.size:  # some tokenizers have no token for an empty text
                feeds = {IDS: ids, MASK: np.ones_like(ids)}
                rows.append(session.run([EMBEDDING], feeds)[0][:, 0][0])
                texts.append(text)
    except ModelError as error:
        raise refused(tower.name, f"ONNX Runtime can't open it ({error.advice})") from error
    except Exception as error:  # onnxruntime raises many kinds without a common base
        raise refused(tower.name, f"it failed on a text ({first_line(error)})") from error
    return texts, np.array(rows, np.float64).reshape(len(texts), -1)
