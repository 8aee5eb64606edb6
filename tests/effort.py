"""How hard costly properties are tried: a little in each run of the tests, at length in a profile of its own."""

from __future__ import annotations

from hypothesis import settings

#: The profile, as in `pytest --hypothesis-profile=thorough`. It takes hours.
THOROUGH = "thorough"
_TIMES = 20


def tries(few: int) -> int:
    """The number of examples for a property of which each one costs a tenth of a second or more."""
    return few * _TIMES if settings.get_current_profile_name() == THOROUGH else few
