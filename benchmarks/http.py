"""How fast `pixseek serve` answers: what HTTP adds, what many clients get, and its peers.

    python benchmarks/http.py --prepare       # environments, models, vectors, indexes: once, 40 min
    python benchmarks/http.py                 # about 10 minutes
    python benchmarks/http.py --quick         # small sizes, few rounds: a test of the benchmark

All servers run at the same time on this machine, and are asked in turns by the same clients
(`peers/ask_http.py`), so that ratios of one round stand up to a busy machine. The text tower is
that of CLIP ViT-B/32 with random weights: the same weights for all, as ONNX for pixseek and as the
files of transformers for its peers. A limit is stated for each figure (`harness/web.py`).
"""

# This file hides the standard library's package `http` from all that runs in this folder, so it
# stands aside: the folder is looked in last here, and whoever imports `http` gets that package.
import sys

if __name__ == "http":
    from importlib.util import module_from_spec, spec_from_file_location
    from sysconfig import get_path

    _spec = spec_from_file_location("http", f"{get_path('stdlib')}/http/__init__.py")
    sys.modules["http"] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["http"])
else:
    import os

    _here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if each != _here] + [_here]

    from harness.http_benchmark import main

    if __name__ == "__main__":
        main(__doc__)
