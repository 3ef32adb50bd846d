"""The ``case`` of a test is the recipe by whose name it is parametrised, trained once a process."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("genwerk.testing")

from cases import Case, case  # noqa: E402


@pytest.fixture(name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    return case(request.param)
