"""What a comparison of this size could have shown: power and smallest difference of Student's t-test (Cohen 1988).

Rank tests need about 5 % more cases than the t-test if values are normal (Lehmann 1975), and fewer if they are skewed,
so the t-test's figures stand for both.
"""

from __future__ import annotations

import math

from ...errors import InputError


def power_of(difference: float, sd: float, n: int, n_other: int | None = None, alpha: float = 0.05) -> float:
    """Probability to find a true difference of means, two-sided, 0 to 1; NaN with too few cases.

    Parameters
    ----------
    difference, sd : in the same unit; `sd` of the differences for pairs, of the values in each group otherwise.
    n, n_other : number of pairs, or of the two groups.

    Raises
    ------
    InputError : a standard deviation that is no positive number, or alpha outside 0 to 1.
    """
    from scipy.stats import nct, t

    _check(sd, alpha)
    freedom, size = _design(n, n_other)
    if freedom < 1:
        return math.nan
    shift = abs(difference) / sd * math.sqrt(size)
    limit = t.ppf(1 - alpha / 2, freedom)
    # Far out SciPy's noncentral t loses its digits, and the power is 1 there.
    if shift > limit + 30:
        return 1.0
    # The tail on the wrong side vanishes with the shift, and where it is below 1e-12 SciPy may have no number for it.
    wrong = float(nct.cdf(-limit, freedom, shift))
    return float(nct.sf(limit, freedom, shift)) + (0.0 if math.isnan(wrong) else wrong)


def minimum_detectable_difference(
    sd: float, n: int, n_other: int | None = None, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true difference of means that is found with this power; NaN with too few cases.

    Parameters as :func:`power_of`. InputError also for a power that is not between alpha and 1.
    """
    from scipy.optimize import brentq

    _check(sd, alpha)
    if not alpha < power < 1:
        raise InputError(f"The power lies between alpha ({alpha}) and 1, not at {power!r}.")
    freedom, size = _design(n, n_other)
    if freedom < 1:
        return math.nan
    high = sd / math.sqrt(size)
    while power_of(high, sd, n, n_other, alpha) < power:
        high *= 2
    return float(brentq(lambda found: power_of(found, sd, n, n_other, alpha) - power, 0, high, xtol=1e-9 * sd))


def _design(n: int, n_other: int | None) -> tuple[int, float]:
    """Degrees of freedom, and the number that turns a standardised difference into a shift of t."""
    if n_other is None:
        return n - 1, float(n)
    return (n + n_other - 2 if min(n, n_other) > 0 else 0), n * n_other / max(n + n_other, 1)


def _check(sd: float, alpha: float) -> None:
    if not (math.isfinite(sd) and sd > 0):
        raise InputError(f"A standard deviation must be a positive number, not {sd!r}; all values may be equal.")
    if not 0 < alpha < 1:
        raise InputError(f"alpha lies between 0 and 1, not at {alpha!r}.")
