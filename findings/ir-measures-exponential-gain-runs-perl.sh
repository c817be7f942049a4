#!/usr/bin/env bash
# ir-measures 0.4.3, nDCG with exponential gain: nDCG(dcg='exp-log2') @ 10.
#
# Expected: the same calculation as nDCG @ 10 with another gain: any names of queries and images, any
# whole grades.
# Happens: nDCG @ 10 runs in C, the other starts a Perl script for each call, which has a format of its
# own. It fails for a query whose name is not a number, for an image whose name has a space, and for a
# grade above 4, so for five stars; the error says only that `perl` returned a status. Without Perl the
# measure is not there.
#
# Seen on 30 November 2026, Linux on x86-64, Python 3.11, perl 5.36:
#   grades to 4:        nDCG@10 0.79671 exp-log2 0.70981
#   grade 5:            nDCG@10 0.73783  exp-log2 CalledProcessError
#   query "q1":         nDCG@10 1.0      exp-log2 CalledProcessError
#   image "a b.jpg":    nDCG@10 1.0      exp-log2 CalledProcessError
#
# For pixseek: judgements are ratings of one to five stars by names of files, which is all that fails
# here. Evaluation with graded relevance takes the linear gain, or computes the other itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
perl -e 'print "perl $^V\n"'
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check ir-measures==0.4.3 \
  pytrec-eval-terrier==0.5.11 numpy==2.4.6
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from subprocess import CalledProcessError

import ir_measures
from ir_measures import nDCG

LINEAR, EXPONENTIAL = nDCG @ 10, nDCG(dcg="exp-log2") @ 10
CASES = {
    "grades to 4": ({"1": {"a": 3, "b": 1, "c": 0}}, {"1": {"b": 0.9, "a": 0.8, "c": 0.7}}),
    "grade 5": ({"1": {"a": 5, "b": 1, "c": 0}}, {"1": {"b": 0.9, "a": 0.8, "c": 0.7}}),
    'query "q1"': ({"q1": {"a": 1}}, {"q1": {"a": 0.9}}),
    'image "a b.jpg"': ({"1": {"a b.jpg": 1}}, {"1": {"a b.jpg": 0.9}}),
}


def measured(measure, qrels, run):
    try:
        return round(ir_measures.calc_aggregate([measure], qrels, run)[measure], 5)
    except CalledProcessError as error:
        assert error.cmd[0] == "perl", error.cmd
        return "CalledProcessError"


seen = {}
for name, (qrels, run) in CASES.items():
    seen[name] = measured(LINEAR, qrels, run), measured(EXPONENTIAL, qrels, run)
    print(f"{name}: nDCG@10 {seen[name][0]}   exp-log2 {seen[name][1]}")
assert seen.pop("grades to 4") == (0.79671, 0.70981)
for linear, exponential in seen.values():
    assert isinstance(linear, float) and exponential == "CalledProcessError", "this has changed"
PYTHON
