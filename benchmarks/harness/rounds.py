"""Interleaved rounds, and what may be said of them: medians, and ratios within one round."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: A measurement is disturbed when other programs used more than this share of the processors.
DISTURBED = 0.1


def interleave(
    contenders: Mapping[str, Callable[[], Any]],
    rounds: int,
    log: Callable[[str], None],
) -> dict[str, list[Any]]:
    """Call every contender once a round, A B C A B C; what fails is an "error" in its place."""
    outcomes: dict[str, list[Any]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, measure in contenders.items():
            failed = next((o for o in outcomes[name] if "error" in o), None)
            try:
                # What failed once fails again, and would only cost time.
                outcome = failed or measure()
            except Exception as error:
                outcome = {"error": f"{type(error).__name__}: {error}"}
            outcomes[name].append(outcome)
            log(f"  round {number + 1} of {rounds}: {name}: {_brief(outcome)}")
    return outcomes


def _brief(outcome: Any) -> str:
    if "error" in outcome:
        return str(outcome["error"])[-300:]
    kept = {k: round(v, 3) for k, v in outcome.items() if isinstance(v, int | float)}
    return " ".join(f"{name}={value}" for name, value in kept.items()) or "done"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median with the least and the most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def quiet(samples: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the rounds that nothing disturbed; all of them where fewer than two are left."""
    left = [n for n, sample in enumerate(samples) if sample.get("others", 0) <= DISTURBED]
    return left if len(left) >= 2 else list(range(len(samples)))


def ratios(
    samples: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]], key: str
) -> dict[str, Any]:
    """Return how often the baseline's figure goes into a contender's, round by round.

    Rounds in which either was disturbed are left out, if two or more are left without them.
    """
    pairs = [
        {"others": max(one.get("others", 0), other.get("others", 0)), "n": n}
        for n, (one, other) in enumerate(zip(samples, baseline, strict=True))
    ]
    kept = quiet(pairs)
    disturbed = sum(pair["others"] > DISTURBED for pair in pairs)
    values = [samples[n][key] / baseline[n][key] for n in kept]
    return {**spread(values), "rounds": len(kept), "disturbed": disturbed}


def interval(
    samples: Sequence[Mapping[str, Any]], baseline: Sequence[Mapping[str, Any]], key: str
) -> tuple[float, float, float]:
    """Return the ratio of two means, and the 95 % interval of it by the paired bootstrap.

    All rounds count, disturbed ones too: both contenders of a round had the same machine.
    """
    pairs = [(one[key], other[key]) for one, other in zip(samples, baseline, strict=True)]
    rng = random.Random(0)

    def ratio(some: Sequence[tuple[float, float]]) -> float:
        return sum(one for one, _ in some) / sum(other for _, other in some)

    drawn = sorted(ratio(rng.choices(pairs, k=len(pairs))) for _ in range(5_000))
    return ratio(pairs), drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn))]
