"""All hits of a query at once, as a page is laid out from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixseek.types.queries import Query, Strength
    from pixseek.types.results import Exclusion, Reach


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The hits of a query as a page is laid out from them: which and how wide, without records.

    Attributes:
        ids: of n hits, in the order of `Library.search`.
        aspects: (n,) float64: width by height, upright; NaN if unknown.
        strengths: how many hits in a row have one strength: (("strong", 12), ("weak", 9)).
        months: how many hits in a row were taken in one month, if they are sorted by that:
            (("2024-05", 312), (None, 3)), where None stands for an unknown month. None for hits in
            another order.
        query, took_ms, model, warnings, strong, likely, looked_at, total, excluded, search: as of
            `Results`.
        parts: index of the best part of each hit among the parts of its record, by which previews
            show the shot of a video that matches; none if nothing was looked for.
    """

    ids: tuple[str, ...]
    aspects: NDArray[np.float64]
    strengths: tuple[tuple[Strength, int], ...]
    months: tuple[tuple[str | None, int], ...] | None
    query: Query
    took_ms: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    warnings: tuple[str, ...] = ()
    strong: int = 0
    likely: int = 0
    looked_at: int = 0
    total: int = 0
    excluded: tuple[Exclusion, ...] = ()
    search: Reach | None = None
    parts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)
