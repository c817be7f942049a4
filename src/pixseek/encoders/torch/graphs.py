"""The towers of a torch model as ONNX graphs, by `torch.onnx.export`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixseek.encoders.runtimes.towers import first_line
from pixseek.encoders.torch.own_tokens import tokens_of
from pixseek.encoders.torch.towers import Towers, quiet
from pixseek.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from pixseek.encoders.torch.encoder import TorchEncoder

#: Names of the graphs' ports; transformers' for the mask and for what comes out ("embedding" is a
#: name that torch gives to nodes inside).
IMAGE, TEXT, MASK = "image", "text", "attention_mask"
EMBEDDINGS = "image_embeds", "text_embeds"

#: Any sizes would do that torch does not take for the only ones: it fixes those of 0 and 1.
_ROWS, _TOKENS = 2, 8


def write_graphs(encoder: TorchEncoder, visual: Path, textual: Path) -> None:
    """Write both towers, in float32 with free batches, and their weights in files beside them.

    Texts have a free length too, unless the tower must see all its context.

    Raises:
        ModelError: torch can't trace a tower.
        MissingExtraError: a package that writes ONNX is not installed.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError("exporting a model", package, "torch")
    import torch

    files, context = encoder.files, tokens_of(encoder.files.text).context
    if files.preprocessing is None:
        raise ModelError("a model without an image tower can't be exported", encoder.name)
    towers = encoder.opened()
    n = torch.export.Dim("n")
    free = {} if files.text.full else {1: torch.export.Dim("length", max=context)}
    ids = torch.ones(_ROWS, context if files.text.full else min(_TOKENS, context), dtype=torch.long)
    masked = (ids, torch.ones_like(ids)) if files.masked else (ids,)
    with quiet():
        pixels = torch.zeros(_ROWS, *files.preprocessing.shape)
        _write(visual, EMBEDDINGS[0], towers, towers.images, {IMAGE: pixels}, {0: n})
        given = dict(zip((TEXT, MASK), masked, strict=False))
        reading = towers.texts if files.masked else _without_mask(towers)
        _write(textual, EMBEDDINGS[1], towers, reading, given, {0: n, **free})


def _without_mask(towers: Towers) -> Callable[..., Any]:
    """Return the text tower for one that takes no mask."""

    def texts(ids: Any) -> Any:
        return towers.texts(ids, ids)

    return texts


def _write(
    path: Path,
    gives: str,
    towers: Towers,
    tower: Callable[..., Any],
    given: dict[str, Any],
    free: dict[int, Any],
) -> None:
    import torch

    class Tower(torch.nn.Module):  # type: ignore[misc]
        """One tower as torch traces it: a module that owns the weights."""

        def __init__(self) -> None:
            super().__init__()
            self.module = towers.module

        def forward(self, *inputs: Any) -> Any:
            return tower(*inputs)

    try:
        torch.onnx.export(
            Tower().eval(),
            tuple(given.values()),
            str(path),
            input_names=list(given),
            output_names=[gives],
            dynamic_shapes=(tuple(free for _ in given),),
            dynamo=True,
            external_data=True,
            verbose=False,
        )
    except Exception as error:  # torch raises all kinds, with pages of advice for its own makers
        under = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise ModelError(
            "a model can't be exported",
            path.parent.name,
            f"torch can't trace it ({first_line(under)}). Use it with torch.",
        ) from error
