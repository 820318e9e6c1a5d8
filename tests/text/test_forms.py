"""Word forms: stems, and numbers in words and digits."""

from __future__ import annotations

import pytest

from attrib.text.forms import forms


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("rewarded rewards Rewarding", ["reward"] * 3),
        ("the worker's fee", ["the", "worker", "fee"]),
        ("forty-one euros", ["41", "41", "euro"]),
        ("41 euros", ["41", "euro"]),
        ("one hundred and five steps", ["105"] * 4 + ["step"]),
        ("two thousand three hundred", ["2300"] * 4),
        ("the 3rd and the third", ["the", "3", "and", "the", "3"]),
        ("two three", ["2", "3"]),
        ("bread and two", ["bread", "and", "2"]),
        ("hundred", ["hundr"]),
        ("007", ["7"]),
        ("", []),
    ],
)
def test_forms(text: str, want: list[str]) -> None:
    assert forms(text) == want
