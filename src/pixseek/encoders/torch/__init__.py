"""Encoders that run with torch (extra `torch`), from folders in the formats of the families' own
libraries.

Nothing here imports torch before a tower is used.
"""

from __future__ import annotations

from pixseek.encoders.torch.encoder import TorchEncoder
from pixseek.encoders.torch.families import FAMILIES
from pixseek.encoders.torch.folders import EXPECTED, TorchFiles, layout_of, read

__all__ = ["EXPECTED", "FAMILIES", "TorchEncoder", "TorchFiles", "layout_of", "read"]
