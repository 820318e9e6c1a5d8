"""What a call refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from attrib.errors import InputError


def refusal(function: Any, *args: Any, **more: Any) -> str:
    """The message of an InputError, which is one line."""
    with pytest.raises(InputError) as caught:
        function(*args, **more)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message
