"""How well searches find what they should: measures, with what chance alone makes of them."""

from pixseek.evaluation.comparing import STUDY, Difference, difference, library_of
from pixseek.evaluation.evaluating import Evaluation, Worst, evaluate
from pixseek.evaluation.measures import MEASURES, Estimate

__all__ = [
    "MEASURES",
    "STUDY",
    "Difference",
    "Estimate",
    "Evaluation",
    "Worst",
    "difference",
    "evaluate",
    "library_of",
]
