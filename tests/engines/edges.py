"""Records and filters at the edges of what databases hold, for the tests of their stores."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from pixseek.types import And, Compare, Filter, Not, Or, Record, Stamp


def some_records() -> list[Record]:
    """Records whose values lie at the edges of what a float holds, and of bytes of an id."""
    edges = (0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**32, 2**32 - 1)
    times = (
        datetime(1, 1, 1),
        datetime(2019, 7, 4, 12, 0, 0, 1),
        datetime(9999, 12, 31, tzinfo=UTC),
    )
    return [
        Record(
            id_, f"root/a{n % 3}/b/{n}.jpg", Stamp(min(abs(edge), 2**63 - 1), edge),
            width=n, height=7, caption="Ein Bild" * (n % 2),
            tags=("holiday|rome", "x" * 300)[: n % 3],
            taken_at=times[n % 3],
            fields={"n": edge, "r": edge / 3, "when": times[n % 3], "user.x": f"t{n}",
                    "gps_latitude": 10.0 * n % 90, "gps_longitude": 0.5},
        )
        for n, (id_, edge) in enumerate(
            zip(("", "a", "图" * 6, "x" * 16, "x" * 17, "x" * 600, "a/b", "..", "ü 😀", "z'\"\\"),
                edges, strict=True)
        )
    ]  # fmt: skip


def some_filters() -> list[Filter]:
    numbers = (0, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**32, 0.5, -1 / 3, 1e300)
    ops = ("lt", "le", "gt", "ge", "eq", "ne")
    found: list[Filter] = [
        Compare(field, op, number)
        for field, op, number in itertools.product(("fields.n", "fields.r", "size"), ops, numbers)
    ]
    times = (
        datetime(2019, 7, 4, 12, 0, 0, 1),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31),
    )
    for field, op, time in itertools.product(("taken_at", "mtime", "fields.when"), ops, times):
        found.append(Compare(field, op, time))
    found += [
        Compare("folder", "under", "root/a1"), Compare("folder", "under", "A1/b"),
        Compare("uri", "glob", "root/a1/*"), Compare("uri", "glob", "*1.jpg"),
        Compare("tags", "contains", "holiday"), Compare("tags", "contains", "x" * 300),
        Compare("tags", "glob", "holi*"), Compare("caption", "exists"),
        Compare("fields.user.x", "in", ("t1", "t2", "nothing")), Compare("id", "eq", "x" * 600),
        Compare("id", "gt", "a"), Compare("width", "in", (1, 2, 2.5)),
        Compare("location", "near", (10.0, 0.5, 1200.0)),
        Compare("fields.absent", "ne", 3), Not(Compare("fields.n", "gt", 0)),
        And((Compare("fields.n", "gt", 0), Compare("uri", "contains", "b/1"))), Or(()),
    ]  # fmt: skip
    return found
