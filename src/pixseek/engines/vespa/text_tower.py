"""The text tower inside Vespa: its files, and the component of `services.xml` that runs them.

Vespa's `hugging-face-embedder` (ai.vespa.embedding.HuggingFaceEmbedder, read in 8.700) tokenizes
with the special tokens of the file, never pads, truncates to `max-tokens` if the tokenizer's file
names no limit, and gives `input_ids` and `attention_mask` of one text to the graph. The strategy
`cls` takes the first of the token vectors that come back; a text tower gives one vector, which
therefore has an axis of one token.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pixseek.errors import EngineError, ModelError
from pixseek.types import Separable
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.types import Encoder

#: What the component is called if there is one text tower.
ID = "text"

#: Where the files are within an application package. Not `models`, whose files a deployment imports
#: as rank models: a tower of 256 MB took more than 512 MB of the heap of Vespa's Java for that.
FOLDER = "embedders"

_ID = "[a-zA-Z][a-zA-Z0-9_]*"


@dataclass(frozen=True, slots=True)
class Embedder:
    """A text tower in an application package.

    Attributes:
        id: of the component.
        component: its element for the container in `services.xml`.
        files: what was written.
        dim: length of the vectors.
        context: maximum number of tokens of a text.
    """

    id: str
    component: str
    files: tuple[Path, ...]
    dim: int
    context: int

    @property
    def query(self) -> str:
        """The value of `input.query(...)` that embeds the request's parameter `text`."""
        return f"embed({self.id}, @text)"


def embedder(encoder: Encoder, folder: Path, name: str = ID) -> Embedder:
    """Write an encoder's text tower into an application package.

    Args:
        encoder: the model.
        folder: the package; the files are written into its folder `embedders`.
        name: id of the component, if there are several: a letter, then letters, digits or `_`.

    Raises:
        EngineError: the name can't be an id.
        ModelError: the text tower can't run in Vespa, or its files can't be written.
        MissingExtraError: the package that exports models of torch is not installed.
    """
    if not re.fullmatch(_ID, name):
        raise EngineError(
            "not a name for a component of Vespa",
            name,
            "Use letters, digits and _, a letter first.",
        )
    if not isinstance(encoder, Separable):
        raise ModelError(
            "this model's text tower can't run in Vespa",
            encoder.name,
            "Its package doesn't say how to write it (`pixseek.types.Separable`). Leave out "
            "--embed-in-vespa: pixseek then embeds the texts.",
        )
    paths = folder / FOLDER / f"{name}.onnx", folder / FOLDER / f"{name}-tokenizer.json"
    tower = encoder.write_text_tower(*paths)
    graph, tokenizer = (path.relative_to(folder).as_posix() for path in paths)
    component = f"""\
<component id="{name}" type="hugging-face-embedder">
  <transformer-model path="{graph}"/>
  <tokenizer-model path="{tokenizer}"/>
  <max-tokens>{tower.context}</max-tokens>
  <transformer-input-ids>input_ids</transformer-input-ids>
  <transformer-attention-mask>attention_mask</transformer-attention-mask>
  <transformer-output>text_embeds</transformer-output>
  <normalize>true</normalize>
  <pooling-strategy>cls</pooling-strategy>
</component>
"""
    return Embedder(name, component, paths, tower.dim, tower.context)
