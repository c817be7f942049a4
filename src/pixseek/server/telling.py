"""What is told of a library to someone without the right to write: nothing about the machine.

Texts of failures and of the runtime are written for whoever owns the machine: they name folders to
type, and quote exceptions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pixseek import wire
from pixseek.library.surfaces import is_place
from pixseek.types import Failure, Report

#: Reasons of failures whose messages speak of the file alone, besides those of decoding.
_OF_THE_FILE = frozenset(
    ("bad-name", "empty", "no-permission", "not-a-file", "not-an-image", "outside")
)


def failure_told(failure: Failure, *, has_rights: bool) -> Failure:
    """Return a failure as somebody may read it."""
    if has_rights:
        return failure
    is_of_the_file = failure.reason in _OF_THE_FILE or (
        failure.stage == "decode" and failure.reason != "unexpected"
    )
    return replace(
        failure,
        uri="" if is_place(failure.uri) else failure.uri,
        message=failure.message if is_of_the_file else "It could not be indexed",
        advice="",
    )


def report_told(report: Report, *, has_rights: bool) -> dict[str, Any]:
    """Return what a run did, as somebody may read it."""
    failures = tuple(failure_told(each, has_rights=has_rights) for each in report.failures)
    plain = wire.report_to_plain(replace(report, failures=failures))
    return plain if has_rights else without_reasons(plain)


def without_reasons(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a report or a status without the text that says why a runtime was chosen."""
    chosen = plain["acceleration"]
    return {**plain, "acceleration": chosen and {**chosen, "why": ""}}
