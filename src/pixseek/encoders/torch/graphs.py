"""Export the towers of a torch model as ONNX graphs, with `torch.onnx.export`."""

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

#: Names of the graphs' inputs and outputs. The mask and the outputs are named as in transformers
#: ("embedding" is a name that torch gives to inner nodes).
IMAGE, TEXT, MASK = "image", "text", "attention_mask"
EMBEDDINGS = "image_embeds", "text_embeds"

#: Sizes of the example inputs; any from 2 up would do. torch treats 0 and 1 as constants.
_ROWS, _TOKENS = 2, 8


def write_graphs(encoder: TorchEncoder, visual: Path, textual: Path) -> None:
    """Write both towers in float32, for batches of any size, with their weights in files next to
    them.

    Texts may have any length too, unless the tower needs all its context.

    Raises:
        ModelError: torch can't trace a tower.
        MissingExtraError: a package that writes ONNX is not installed.
    """
    _check_packages()
    import torch

    files = encoder.files
    if files.preprocessing is None:
        raise ModelError("a model without an image tower can't be exported", encoder.name)
    towers = encoder.opened()
    with quiet():
        pixels = torch.zeros(_ROWS, *files.preprocessing.shape)
        free = {0: torch.export.Dim("n")}
        _write(visual, EMBEDDINGS[0], towers, towers.images, {IMAGE: pixels}, free)
    write_text_graph(encoder, textual)


def write_text_graph(encoder: TorchEncoder, path: Path) -> None:
    """Write the text tower; see `write_graphs`.

    Raises:
        ModelError: torch can't trace it.
        MissingExtraError: a package that writes ONNX is not installed.
    """
    _check_packages()
    import torch

    files, context = encoder.files, tokens_of(encoder.files.text).context
    towers = encoder.opened()
    free = {0: torch.export.Dim("n")}
    if not files.text.full:
        free[1] = torch.export.Dim("length", max=context)
    ids = torch.ones(_ROWS, context if files.text.full else min(_TOKENS, context), dtype=torch.long)
    masked = (ids, torch.ones_like(ids)) if files.masked else (ids,)
    with quiet():
        given = dict(zip((TEXT, MASK), masked, strict=False))
        reading = towers.texts if files.masked else _without_mask(towers)
        _write(path, EMBEDDINGS[1], towers, reading, given, free)


def _check_packages() -> None:
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise MissingExtraError("exporting a model", package, "torch")


def _without_mask(towers: Towers) -> Callable[..., Any]:
    """Return the text tower as a function of ids alone."""

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
        """One tower as a module that owns the weights, which torch can trace."""

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
    except Exception as error:  # torch raises many kinds, with pages of text for developers
        under = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise ModelError(
            "a model can't be exported",
            path.parent.name,
            f"torch can't trace it ({first_line(under)}). Use it with torch.",
        ) from error
