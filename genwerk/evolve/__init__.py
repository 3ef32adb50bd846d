"""Evolutionary optimisation with several objectives, on pymoo, where a generative model may propose solutions.

Importing this package registers every algorithm and every problem.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec

from genwerk.core.errors import BadInput

if find_spec("pymoo") is None:
    raise BadInput("optimisation needs pymoo; type: pip install 'genwerk[evolve]'")

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
