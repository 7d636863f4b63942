"""What a user is told of what he can mend."""

from collections.abc import Callable
from typing import Any

import pytest

from sim.runs.errors import UserError


def message(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The one line with which the call is refused."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text
