"""Every check must notice when a function that it uses is broken.

The functions that a check calls are found by reading its code, and replaced one at a time: by one
that returns zeros, one that is off by a quarter, one with the wrong sign. A check that passes all
the same is no check.
"""

import dataclasses
import sys
import types
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from crossent.claims import Claim, all_claims

# What these return cannot be scaled: codes, data sets, maps, header fields. tests/mutants.txt has
# faults inside them.
OPAQUE = {
    "block_huffman_code",
    "canonical_code",
    "huffman_code",
    "load",
    "make_map",
    "read_header",
}


def functions_of(claim: Claim) -> dict[tuple[str, str], Any]:
    """(module, name) of every function of ours that the check reaches, and the function."""
    found: dict[tuple[str, str], Any] = {}
    waiting, seen = [claim.check], set()
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        module = sys.modules[function.__module__]
        for name in names_in(function.__code__):
            value = getattr(module, name, None)
            if not isinstance(value, types.FunctionType):
                continue
            home = value.__module__
            if home.startswith("crossent.claims"):
                if not home.endswith(("_expect", "registry", "figures")):
                    waiting.append(value)
            elif home.startswith("crossent.") and name not in OPAQUE:
                found[function.__module__, name] = value
    return found


def names_in(code: types.CodeType) -> set[str]:
    """Global names in the code and in what is defined inside it."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*map(names_in, inner))


def zeros(x: Any) -> Any:
    return x * 0


def off_by_a_quarter(x: Any) -> Any:
    return x + (1 if isinstance(x, int) else abs(x) / 4 + Fraction(1, 8))


def upside_down(x: Any) -> Any:
    return -x - (1 if isinstance(x, int) else Fraction(1, 8))


FAULTS = (zeros, off_by_a_quarter, upside_down)


def changed(value: Any, fault: Any) -> Any:
    """The value with every number in it changed."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind in "iub":
            return (np.asarray(value).astype(int) * 0 + fault(1)).astype(value.dtype)
        return np.asarray(fault(np.asarray(value) * 1.0), dtype=value.dtype)
    if isinstance(value, list | tuple):
        return type(value)(changed(x, fault) for x in value)
    if isinstance(value, bytes):
        return bytes(b ^ 255 for b in value)
    if isinstance(value, float | int | Fraction):
        return type(value)(fault(value))
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        numbers = {k: v for k, v in fields.items() if isinstance(v, float | np.ndarray)}
        moved = {k: changed(v, fault) for k, v in numbers.items()}
        return dataclasses.replace(value, **moved)
    message = f"cannot change a {type(value).__name__}; name its function in OPAQUE"
    raise NotImplementedError(message)


def noticed(claim: Claim, module: str, name: str, fault: Any) -> bool:
    """Whether the check fails when the function's results are changed so."""
    right = getattr(sys.modules[module], name)
    calls: list[Any] = []

    def broken(*arguments: Any, **options: Any) -> Any:
        calls.append(right(*arguments, **options))
        calls[-1] = changed(calls[-1], fault)
        return calls[-1]

    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(sys.modules[module], name, broken)
        try:
            claim.check()
        except NotImplementedError:
            raise
        except Exception:
            return True
    assert calls, f"the check names {name} and never calls it"
    return False


CASES = {
    f"{claim.id}-{name}": (claim, module, name)
    for claim in all_claims()
    for module, name in sorted(functions_of(claim))
}


@pytest.mark.parametrize(("claim", "module", "name"), CASES.values(), ids=CASES)
def test_a_check_notices_a_broken_function(claim, module, name):
    seen = [fault.__name__ for fault in FAULTS if noticed(claim, module, name, fault)]

    # One fault may be invisible, such as a scale where only an order is compared; not all three.
    assert seen, f"{claim.id} passes whatever {name} returns"


ANSWERED = [claim for claim in all_claims() if functions_of(claim)]


@pytest.mark.parametrize("claim", ANSWERED, ids=[claim.id for claim in ANSWERED])
def test_a_check_notices_zeros(claim):
    assert any(noticed(claim, module, name, zeros) for module, name in functions_of(claim))


def test_only_checks_that_use_our_classes_and_no_function_are_left_to_the_mutants():
    # S7 enumerates dice; S57 and S63 to S67 use estimators and linear maps, whose methods
    # tests/mutants.txt breaks; S86 and S87 look at the claims themselves.
    known = {"S7", "S57", "S63", "S64", "S65", "S66", "S67", "S86", "S87"}
    without = {claim.id for claim in all_claims()} - {claim.id for claim in ANSWERED}

    assert without <= known
