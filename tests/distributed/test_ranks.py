"""However many ranks, the same numbers: every rank holds all of them, to the last bit where there are at most 8."""

from pathlib import Path

import numpy as np
import pytest
from distributed.support import on_ranks

SCRIPT = Path(__file__).parent / "one_rank.py"


def computed(folder: Path, what: str, size: int) -> list[dict[str, np.ndarray]]:
    """What every rank found."""
    name = folder / f"{what}-{size}"
    for done in on_ranks(SCRIPT, size, folder / f"store-{what}-{size}", str(name), what):
        assert done.returncode == 0, done.stderr
    return [dict(np.load(f"{name}.{rank}.npz")) for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "size"), [("operators", 2), ("operators", 3), ("few", 5)])
def test_operators_and_preconditioners_do_not_depend_on_the_number_of_ranks(tmp_path, what, size):
    """Shards of unequal size, ranks with unequal numbers of shards, and ranks without any."""
    (alone,) = computed(tmp_path, what, 1)
    for found in computed(tmp_path, what, size):
        assert found.keys() == alone.keys()
        for name, values in alone.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
