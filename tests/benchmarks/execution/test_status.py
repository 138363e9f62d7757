"""`dgmbench status`: what runs are doing, of a table or of all."""

import re

from benchmarks.__main__ import main
from tests.benchmarks.tables.helpers import put


def test_status_is_a_matrix_and_names_what_is_not_finished(mini, capsys):
    put(mini.runs[0])
    put(mini.runs[2], status="diverged")
    put(mini.runs[3], status="failed")
    assert main(["status", "mini"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^A +1/2 *$", shown, re.M)
    assert re.search(r"^B +0/2, 1 failed, 1 diverged *$", shown, re.M)
    assert re.search(r"^B digits s1 \[\S+\] +failed: why$", shown, re.M)
