"""The step length on functions of one variable whose shape is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossent.solvers.line_search import Point, search


class Counter:
    """Evaluates f and f' and remembers where."""

    def __init__(self, function, derivative, limit=None):
        self.function, self.derivative, self.limit = function, derivative, limit
        self.places = []

    def __call__(self, w):
        if self.limit is not None and len(self.places) >= self.limit:
            return None
        self.places.append(float(w[0]))
        return Point(w, float(self.function(w[0])), np.array([self.derivative(w[0])], dtype=float))


def look(counter, start, direction, resolution=0.0):
    here = counter(np.array([float(start)]))
    counter.places.clear()
    found = search(counter, here, np.array([float(direction)]), resolution=resolution)
    return here, found


def square(w):
    return w**2 / 2


def test_a_step_that_is_right_is_taken_at_once():
    counter = Counter(square, lambda w: w)
    _, found = look(counter, 3.0, -3.0)
    assert counter.places == [0.0]
    assert found.value == 0.0


@pytest.mark.parametrize("factor", [1.5, 3.0, 100.0, 1e8])
def test_a_step_that_is_too_long_is_shortened(factor):
    counter = Counter(square, lambda w: w)
    here, found = look(counter, 3.0, -3.0 * factor)
    share = (3.0 - found.w[0]) / (3.0 * factor)
    assert found.value <= here.value - 1e-4 * share * 9.0 * factor  # Armijo
    assert found.gradient[0] * -3.0 >= 0.9 * -9.0  # curvature, weak Wolfe
    # The slope is linear, so its zero is found by one interpolation unless that is clipped.
    assert len(counter.places) <= 2 + np.log10(factor) * 1.2


@pytest.mark.parametrize("factor", [1e-2, 1e-4])
def test_a_step_that_is_too_short_is_stretched(factor):
    counter = Counter(square, lambda w: w)
    here, found = look(counter, 3.0, -3.0 * factor)
    assert found.value < here.value
    # A tenfold stretch is the limit; it is reached, since even it leaves the slope steep.
    assert (3.0 - found.w[0]) / (3.0 * factor) >= 10
    assert len(counter.places) <= 4


def test_a_stretched_step_uses_the_slope_to_guess_the_length():
    counter = Counter(square, lambda w: w)
    _, found = look(counter, 3.0, -0.25)  # a twelfth of the way: slope 2.75/3 is above 0.9
    assert found.value < square(3.0 - 0.25)
    assert len(counter.places) == 2


def test_it_comes_back_from_where_the_function_is_not_finite():
    counter = Counter(
        lambda w: np.inf if w > 10 else (w - 9) ** 2, lambda w: np.nan if w > 10 else 2 * (w - 9)
    )
    here, found = look(counter, 0.0, 1000.0)
    assert found is not None
    assert found.value < here.value
    assert np.isfinite(found.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_function_finite_nowhere_else_has_no_step(bad):
    counter = Counter(lambda w: 1.0 if w == 0 else bad, lambda w: -1.0 if w == 0 else bad)
    assert look(counter, 0.0, 1.0)[1] is None
    assert len(counter.places) <= 20


def test_values_that_only_rise_give_none():
    # f' < 0 is claimed at the start, but every other value is higher: noise, or a wrong gradient.
    counter = Counter(lambda w: 0.0 if w == 0 else 1.0, lambda w: -1.0 if w == 0 else 1.0)
    assert look(counter, 0.0, 1.0)[1] is None


def test_below_the_resolution_slopes_decide():
    # f = w² + noise of 1e-8; at w = 1e-6 the true decrease 1e-12 drowns in it.
    def noisy(w):
        return w**2 + (1e-8 if w < 0.5e-6 else 0.0)

    counter = Counter(noisy, lambda w: 2 * w)
    _, found = look(counter, 1e-6, -1e-6, resolution=1e-7)
    assert found is not None
    assert found.w[0] == 0.0
    # Without resolution the same step looks like an ascent and is refused.
    counter = Counter(noisy, lambda w: 2 * w)
    _, refused = look(counter, 1e-6, -1e-6, resolution=0.0)
    assert refused is None or refused.w[0] >= 0.5e-6


def test_the_resolution_does_not_excuse_a_real_ascent():
    counter = Counter(square, lambda w: w)
    here, found = look(counter, 1.0, -3.0, resolution=1e-3)  # the full step lands on -2
    assert found.value < here.value


def test_when_evaluations_run_out_the_best_so_far_is_kept():
    counter = Counter(square, lambda w: w, limit=None)
    here = counter(np.array([3.0]))
    short = Counter(square, lambda w: w, limit=1)
    found = search(short, here, np.array([-0.03]), resolution=0.0)
    assert found.w[0] == pytest.approx(2.97)  # lower than the start, if too short
    none = Counter(square, lambda w: w, limit=0)
    assert search(none, here, np.array([-3.0]), resolution=0.0) is None
    long = Counter(square, lambda w: w, limit=1)
    assert search(long, here, np.array([-300.0]), resolution=0.0) is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    centre=st.floats(-50, 50),
    width=st.floats(0.01, 10),
    tilt=st.floats(-0.9, 0.9),
    length=st.floats(-3, 3),
)
def test_on_convex_functions_the_weak_wolfe_conditions_hold(centre, width, tilt, length):
    # log cosh plus a tilt: curvature at the centre, straight lines outside.
    def f(w):
        u = (w - centre) / width
        return abs(u) + np.log1p(np.exp(-2 * abs(u))) + tilt * u

    def slope(w):
        return (np.tanh((w - centre) / width) + tilt) / width

    counter = Counter(f, slope)
    direction = -np.sign(slope(0.0)) * 10**length
    if slope(0.0) * direction > -1e-3:
        return
    here, found = look(counter, 0.0, direction)
    assert found is not None
    step = found.w[0] / direction
    start_slope = slope(0.0) * direction
    assert found.value <= here.value + 1e-4 * step * start_slope + 1e-12 * abs(here.value)
    assert slope(found.w[0]) * direction >= 0.9 * start_slope or step >= 10
    assert len(counter.places) <= 20
