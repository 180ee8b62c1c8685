"""The models written out are importable as ``choice_definitions`` in every test of this folder."""

import importlib.util
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location(
    "choice_definitions", Path(__file__).with_name("definitions.py")
)
module = importlib.util.module_from_spec(spec)
sys.modules.setdefault(spec.name, module)
spec.loader.exec_module(sys.modules[spec.name])
