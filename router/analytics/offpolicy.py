"""What another policy would have come to, from the log of one that drew: estimates with intervals, as pure functions.

A log has the outcome of the model that was asked and of no other. Where the logging policy drew its model with a known
chance (its *propensity*), outcomes are weighted by how much likelier the new policy takes the model than the logging
one did; so the few requests that were explored stand for all that the new policy would send there.

Everything here works on *groups*: requests that are alike in all but their outcome, with their number and the sums of
their outcomes' first four powers. One request is a group of one, and groups of two parts of a log add up, so the same
functions serve arrays in memory and logs of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_ESS: Final = 100.0
"""Effective samples below which nothing is estimated: the normal approximation of the intervals is poor there, and at
a rate of 0.9 an interval of 95 % is wider than 0.12."""
SHRINKAGE: Final = 10.0
"""Observations that the mean one level up counts for, in the outcome model of `doubly_robust`."""
_SYMMETRIC: Final = 1e-6
_NORMAL_95: Final = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Requests by what they were and what was done.

    Attributes:
        count: requests in each group.
        outcome: the sum of their outcomes.
        square, cube, fourth: the sums of their second, third and fourth powers.
        action: index of the model that was asked.
        propensity: how likely the logging policy was to ask it, in (0, 1].
        target: how likely the new policy is to ask each model, one row for each group.
        context: index of what is known of the request, for the outcome model.
        fold: to which part the group belongs when the outcome model is fitted to the others.
    """

    count: Floats
    outcome: Floats
    square: Floats
    cube: Floats
    fourth: Floats
    action: Ints
    propensity: Floats
    target: Floats
    context: Ints
    fold: Ints

    @property
    def weight(self) -> Floats:
        """How much likelier the new policy is to do what was done, by group."""
        chosen: Floats = self.target[np.arange(len(self.action)), self.action]
        return chosen / self.propensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean outcome per request, with its interval of 95 %."""

    value: float
    low: float
    high: float


def effective_sample_size(groups: Groups, /) -> float:
    """Returns how many requests of the new policy itself would tell as much: (sum of w)^2 / sum of w^2.

    Source: A. Kong, "A note on importance sampling using standardized weights", University of Chicago, Dept. of
    Statistics, Technical Report 348, 1992; also Kong, Liu, Wong, JASA 89 (1994), section 4.1.
    """
    weight = groups.weight
    total = float(np.sum(groups.count * weight))
    return total * total / float(np.sum(groups.count * weight * weight)) if total else 0.0


def mean_weight(groups: Groups, /) -> tuple[float, float]:
    """Returns the mean weight and its standard error; it is 1 but for chance where the propensities are right."""
    weight, n = groups.weight, float(np.sum(groups.count))
    mean = float(np.sum(groups.count * weight)) / n
    variance = float(np.sum(groups.count * (weight - mean) ** 2)) / n
    return mean, math.sqrt(variance / n)


def snips(groups: Groups, /) -> Estimate:
    """Returns the self-normalised inverse-propensity estimate: sum of w r / sum of w.

    Its interval is that of a ratio of two means (the delta method): the variance is
    sum of w^2 (r - v)^2 / (sum of w)^2, with v the estimate. It is biased by an order of 1/n, and bounded by the
    outcomes there are.

    Source: A. Swaminathan, T. Joachims, "The Self-Normalized Estimator for Counterfactual Learning", NIPS 2015,
    section 4; the variance is in A. B. Owen, "Monte Carlo theory, methods and examples", section 9.2, equation 9.9.
    """
    weight = groups.weight
    total = float(np.sum(groups.count * weight))
    value = float(np.sum(weight * groups.outcome)) / total
    return _estimate(value, _Errors.of(groups, -value * weight, weight), total)


def doubly_robust(groups: Groups, /) -> Estimate:
    """Returns the doubly robust estimate: the outcome model's mean under the new policy, and its weighted errors.

    For each request sum over a of pi(a) q(a) + w (r - q(a_logged)), averaged. It is right where either the propensities
    or the model are, and varies less than weighting alone as far as the model tells outcomes. The model of a request is
    fitted to the other folds only, so that it does not know the outcome that it is to predict.

    Source: M. Dudik, J. Langford, L. Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011, equation 2;
    cross-fitting: V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural parameters",
    Econometrics Journal 21 (2018), definition 3.1.
    """
    rows = np.arange(len(groups.action))
    model = outcome_model(groups)[groups.fold, :, groups.context]
    known = np.sum(groups.target * model, axis=1) - groups.weight * model[rows, groups.action]
    weight, n = groups.weight, float(np.sum(groups.count))
    value = float(np.sum(groups.count * known + weight * groups.outcome)) / n
    return _estimate(value, _Errors.of(groups, known - value, weight), n)


def outcome_model(groups: Groups, /) -> Floats:
    """Returns the mean outcome by fold left out, action and context.

    It is shrunk towards the mean of the action, and this one towards that of all.
    A mean of n observations counts n, and the one a level up `SHRINKAGE` more: the posterior mean of a normal model
    whose group means vary less than its observations by that factor.
    """
    folds, contexts = int(groups.fold.max()) + 1, int(groups.context.max()) + 1
    actions = groups.target.shape[1]
    shape = (folds, actions, contexts)
    count, total = np.zeros(shape), np.zeros(shape)
    where = (groups.fold, groups.action, groups.context)
    np.add.at(count, where, groups.count)
    np.add.at(total, where, groups.outcome)
    if folds > 1:  # of one fold alone, there are no others
        count, total = count.sum(axis=0, keepdims=True) - count, total.sum(axis=0, keepdims=True) - total
    overall = total.sum(axis=(1, 2), keepdims=True) / np.maximum(count.sum(axis=(1, 2), keepdims=True), 1.0)
    by_action = _shrunk(total.sum(axis=2, keepdims=True), count.sum(axis=2, keepdims=True), overall)
    return _shrunk(total, count, by_action)


def _shrunk(total: Floats, count: Floats, towards: Floats) -> Floats:
    shrunk: Floats = (total + SHRINKAGE * towards) / (count + SHRINKAGE)
    return shrunk


@dataclass(frozen=True, slots=True)
class _Errors:
    """Sums over all requests of powers of what each adds to an estimate's error."""

    square: float
    cube: float
    fourth: float

    @classmethod
    def of(cls, groups: Groups, at: Floats, slope: Floats) -> _Errors:
        """Returns them for errors of `at + slope * outcome`, two values for each group."""
        powers = (groups.count, groups.outcome, groups.square, groups.cube, groups.fourth)

        def total(power: int) -> float:
            terms = (math.comb(power, k) * at ** (power - k) * slope**k * powers[k] for k in range(power + 1))
            return float(np.sum(np.sum(list(terms), axis=0)))

        return cls(max(total(2), 0.0), total(3), total(4))


def _estimate(value: float, errors: _Errors, total: float) -> Estimate:
    """Returns an estimate with its interval: that of Student's t, with the skewness of the errors taken out.

    A few requests with large weights and outcomes make the errors skewed, and their variance uncertain; a symmetric
    interval of the normal distribution then misses the truth too often, mostly on one side.

    Sources: P. Hall, "On the Removal of Skewness by Transformation", JRSS B 54 (1992), section 2, the second of its
    transformations; degrees of freedom as F. E. Satterthwaite, Biometrics Bulletin 2 (1946), has them: two by the
    squared coefficient of variation of the variance; quantile of t: Abramowitz, Stegun, 26.7.5.
    """
    if not errors.square:
        return Estimate(value=value, low=value, high=value)
    z, free = _NORMAL_95, max(2 * errors.square**2 / errors.fourth, 2.0)
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    skewness = errors.cube / errors.square**1.5
    scale = math.sqrt(errors.square) / total
    return Estimate(
        value=value, low=value - scale * _unskewed(t, skewness), high=value - scale * _unskewed(-t, skewness)
    )


def _unskewed(x: float, skewness: float) -> float:
    if abs(skewness) < _SYMMETRIC:
        return x
    return 3 / skewness * (math.cbrt(1 + skewness * (x - skewness / 6)) - 1)
