"""What is written about images: how much it counts for a query, next to what they show.

A word on few images tells them from all others, so it counts as much as it is rare; and what counts
is whether the words are there, not how long the text around them is. Of N images n hold all words
of the query:

- An image whose texts hold all words gains .25 ln(N/n)**2 standard deviations, and has at least
  that many. For one of 1,000 that is 11, more than any image gains by what it shows; for 300 of
  1,000 it is .4.
- One that holds some of them gains 6 c**2, where c is their share of the words' weights ln(N/n).
- In a query of few words, a word that fewer than one image in fifty holds is meant as written: its
  images have at least a score that grows with its rareness, whatever the other words say.
- If all words stand in its caption, tags or title, it is a likely match at least.

What was read in the picture (`pixseek index --ocr`) counts by the same rules, and less: signs and
labels hold many words that are not what a picture is about.

Measured in docs/search-quality.md against reciprocal rank fusion and against sums with BM25.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixseek.search import strength
from pixseek.search.asked import FEW
from pixseek.types.dataclass import dataclass

if TYPE_CHECKING:
    from pixseek.search.background import Calibration
    from pixseek.types import Engine, Query, WordMatch, WordMatches

#: What all words give: FULL * ln(N/n) ** POWER.
FULL, POWER = 0.25, 2.0
#: What some words give: SOME * share ** 2.
SOME = 6.0
#: A word begins to be meant as written at ln(N/n) = RARE, one image in fifty, and is at SURE, in
#: queries of up to FEW_WORDS words; less in longer ones.
RARE, SURE, FEW_WORDS = 4.0, 5.2, 3
#: What words that were read in a picture count, next to those of its caption, tags and names.
SEEN = 0.5
#: Images added to N: in a library of five even a unique word would hardly count.
_MORE = 100.0
#: Above the cutoff of likely matches, for the small deductions that follow.
_MARGIN = 0.3


@dataclass(frozen=True, slots=True)
class Written:
    """What is written about one image counts for a query.

    Attributes:
        lift: added to its score, in standard deviations.
        least: its score is at least this.
        share: of the query's words, weighted by rareness, in (0, 1].
        complete: whether its texts hold all of the words.
    """

    lift: float
    least: float
    share: float
    complete: bool


def written(
    engine: Engine,
    query: Query,
    total: int,
    calibration: Calibration | None,
    reads_text: bool,
) -> dict[str, Written]:
    """Return what counts for each image that is written about in words of a query, by id.

    Args:
        engine: finds them.
        query: with one choice of each alternative.
        total: how many images were searched.
        calibration: of the model.
        reads_text: whether images may have text that was read in them.
    """
    words = " ".join(str(t.value) for t in query.terms if t.kind == "text" and t.weight > 0)
    if not words or not query.text_weight or engine.capabilities.text_search == "none":
        return {}
    found = engine.find_words(words, FEW, query.where, counted=False)
    said = judged(found, total, query.text_weight, calibration)
    if not reads_text:
        return said
    read = engine.find_words(words, FEW, query.where, counted=False, seen=True)
    return with_seen(said, judged(read, total, SEEN * query.text_weight, calibration))


def judged(
    found: WordMatches,
    total: int,
    weight: float = 1.0,
    calibration: Calibration | None = None,
) -> dict[str, Written]:
    """Return what counts for each image whose texts hold words of a query, by id.

    Args:
        found: what the engine found.
        total: how many images were searched.
        weight: of texts next to images.
        calibration: of the model.
    """
    if not found.matches:
        return {}
    complete = _rareness(total, found.complete)
    full = FULL * complete**POWER
    # As many of them as were found rank below each other, and the last is likely too.
    ranked = min(found.complete, sum(match.complete for match in found.matches))
    said = strength.likely_score(max(1, ranked), total, calibration) + _MARGIN
    rare = [_rareness(found.records, count) for count in found.counts]
    whole = sum(rare)
    told = whole > 0  # whether the engine says which words an image's texts hold
    few = min(1.0, FEW_WORDS / max(1, len(rare))) ** 2

    def of_one(match: WordMatch) -> Written:
        share, rarest = match.share, 0.0
        if told:
            share = sum(rare[at] for at in match.held) / whole
            rarest = max(rare[at] for at in match.held)
        if match.complete:
            lift, least, share = full, full, 1.0
            if match.stated:
                least = max(least, said)
        else:
            lift = SOME * share**2
            meant = (rarest - RARE) / (SURE - RARE)
            least = few * rarest * min(1.0, meant) if meant > 0 else -math.inf
        return Written(
            weight * lift, weight * least if weight else -math.inf, share, match.complete
        )

    # Most of them hold the same words as others.
    alike: dict[object, Written] = {}
    judged = {}
    for match in found.matches:
        same = (match.held, match.complete, match.stated, None if told else match.share)
        if same not in alike:
            alike[same] = of_one(match)
        judged[match.id] = alike[same]
    return judged


def best_of(found: Sequence[dict[str, Written]]) -> dict[str, Written]:
    """Return by id what counts most among several queries, one of which is enough."""
    if len(found) == 1:
        return found[0]
    best: dict[str, Written] = {}
    for each in found:
        for image, said in each.items():
            other = best.get(image)
            if other is None or (said.least, said.lift) > (other.least, other.lift):
                best[image] = said
    return best


def with_seen(said: dict[str, Written], seen: dict[str, Written]) -> dict[str, Written]:
    """Return what counts for each image, by id, with what was read in its picture besides.

    Args:
        said: of its texts.
        seen: of the text in it, judged with the weight `SEEN`.
    """
    both = dict(said)
    for image, read in seen.items():
        if (other := said.get(image)) is None:
            both[image] = read
            continue
        # Some words may stand in the one, and some in the other.
        both[image] = Written(
            max(read.lift, other.lift),
            max(read.least, other.least),
            max(read.share, other.share),
            read.complete or other.complete,
        )
    return both


def _rareness(total: int, count: int) -> float:
    """Return ln(N/n), with some images added to a small library; never below 0."""
    return max(0.0, math.log((total + _MORE) / (count + 0.5)))
