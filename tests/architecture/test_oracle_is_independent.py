"""The oracle may share nothing with what it checks, and may not compute with anything but whole numbers."""

import ast
import sys
from pathlib import Path

TREE = ast.parse(Path(__file__).parents[1].joinpath("oracle.py").read_text(encoding="utf-8"))


def test_oracle_imports_the_standard_library_only():
    roots = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import reaches into the project"
            roots.add((node.module or "").split(".")[0])
    assert roots <= set(sys.stdlib_module_names) - {"decimal", "fractions", "importlib", "runpy"}


def test_oracle_computes_with_whole_numbers_only():
    for node in ast.walk(TREE):
        assert not isinstance(node, ast.Div), "a true division makes a float"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (
            isinstance(node, ast.Name) and node.id in {"float", "round", "__import__", "exec", "eval"}
        )
