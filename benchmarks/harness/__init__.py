"""What the benchmarks share: environments, material, measuring, and the experiments of `run.py`."""

import sys
from pathlib import Path

_HERE = Path(__file__).parents[1]
# The vectors of the tests are those of the benchmarks, `from vectors import Clustered`; and what
# drivers measure with, `from protocol import measured`, serves here too.
sys.path[:0] = [str(_HERE.parent / "tests" / "engines"), str(_HERE / "peers")]
