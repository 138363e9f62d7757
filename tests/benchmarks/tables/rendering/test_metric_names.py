"""Every column names a metric of its protocol."""

import pytest

from benchmarks.core.errors import UserError
from benchmarks.tables.rendering.metric_names import check_metrics
from benchmarks.tables.spec import load_spec, table_names
from tests.benchmarks.tables.helpers import MINI, write_mini


@pytest.mark.parametrize("name", table_names())
def test_every_column_has_a_metric_of_its_protocol(name):
    check_metrics(load_spec(name))


def test_a_metric_that_a_protocol_has_not_is_one_line(mini):
    write_mini(MINI.replace("metric: bits_per_dim", "metric: bits"))
    with pytest.raises(UserError, match="bits_per_dim_test has no metric 'bits'; did you mean"):
        check_metrics(load_spec("mini"))
