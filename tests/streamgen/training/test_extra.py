import pytest

from streamgen.errors import ConfigError
from streamgen.training.extra import check_extra


def test_what_is_missing_is_named_with_the_way_to_get_it():
    check_extra()
    with pytest.raises(ConfigError, match=r"no_such_module.*pip install -e \.\[train\]") as caught:
        check_extra(("json", "no_such_module"))
    assert "json" not in str(caught.value)
