"""The dials of the start, chosen on held-out rows: first EASE alone, then iALS alone, then their blend.

One dial after the other, each at its best before the next. Nothing is tuned per data set by hand: what
differs between a dense and a sparse catalogue is exactly what these dials hold.
"""

from dataclasses import replace

from trainer.start_maker import Chosen, StartMaker
from trainer.validation import Validation

# Of users and videos. The first was the best of 0 to .5 on both sets (NDCG@20 of the regression alone, to no
# scaling: movielens .2914 to .2865, movietweetings .1746 to .1692). The second is the symmetric normalisation
# of spectral methods (Peng, Sugiyama, Mine 2022), worse on these (.246, .168), said to be best on clicks.
SCALINGS = ((0.25, 0.2), (0.5, 0.5))
PENALTIES = (16.0, 4.0, 1.0, 64.0, 256.0)
SCORE_EXPONENTS = (0.1, 0.0, 0.2, 0.3)
FACTOR_STEPS = (  # (on iALS's weight, on its ridge), there or else back, on as long as it goes up
    ((1.0, 2.0), (1.0, 0.5)),
    ((1 / 3, 1.7), (3.0, 1 / 1.7)),
)
MOST_STEPS = 3
FACTOR_SHARES = (0.3, 0.5, 0.7, 1.0)
POPULARITIES = (0.3, 1.0, 3.0, 10.0)
POPULARITY_HALF_LIVES = (None, 180.0, 30.0, 7.0)  # days
# Likes summed, not divided by the root of their number: the more somebody liked, the less popularity says, as
# a prior beside evidence. NDCG@20 .1857 to .1869 on movietweetings, random, .0928 to .0933 after a date,
# .1333 to .1343 on movielens, last; the popularity that goes with it is the same or three times as much.
SUM_POPULARITIES = (1.0, 3.0)
HISTORY_HALF_LIVES = (1000.0, 365.0, 120.0, 30.0)  # days
RECENCY_POWERS = (0.3, 0.5, 0.7)
SEEN_WEIGHTS = (0.15, 0.3, 0.5)


def choose_dials(maker: StartMaker, validation: Validation) -> Chosen:
    """The best of each dial on the validation, in turn; the defaults where there is nothing to
    validate on."""
    best = Chosen.before(maker.history)
    if not len(validation.users):
        return best
    best = _best(maker, [moved(best, factor_share=0.0, penalty=p) for p in PENALTIES], validation)
    best = _best(maker, [moved(best, score_exponent=b) for b in SCORE_EXPONENTS], validation)
    best = _best_scaling(maker, best, validation)
    best = _best_factors(maker, best, validation)
    shares = [0.0, *FACTOR_SHARES]
    best = _best(maker, [moved(best, factor_share=share) for share in shares], validation)
    for life in POPULARITY_HALF_LIVES if maker.has_times else (None,):
        tries = [moved(best, popularity=value, popularity_half_life=life) for value in POPULARITIES]
        best = _best(maker, [best, *tries], validation)
    summed, popularity = replace(best, pooling_exponent=0.0), best.dials.popularity
    tries = [moved(summed, popularity=popularity * factor) for factor in SUM_POPULARITIES]
    best = _best(maker, [best, *tries], validation)
    if maker.has_times:
        tries = [replace(best, recency_power=power) for power in RECENCY_POWERS]
        best = _best(maker, [best, *tries], validation)
        tries = [replace(best, half_life_days=days) for days in HISTORY_HALF_LIVES]
        best = _best(maker, [best, *tries], validation)
    if maker.may_hear_seen:
        tries = [replace(best, seen_weight=weight) for weight in SEEN_WEIGHTS]
        best = _best(maker, [best, *tries], validation)
    return best


def _best_scaling(maker: StartMaker, best: Chosen, validation: Validation) -> Chosen:
    """The other scaling with some settings of its own, with all of them where it is the better one."""
    for scaling in SCALINGS[1:]:
        tries = [
            moved(best, scaling=scaling, penalty=p, score_exponent=b)
            for p in PENALTIES[:2]
            for b in (0.0, 0.3)
        ]
        other = _best(maker, [best, *tries], validation)
        if other is not best:
            best = _best(maker, [moved(other, penalty=p) for p in PENALTIES], validation)
            best = _best(maker, [moved(best, score_exponent=b) for b in SCORE_EXPONENTS], validation)
    return best


def _best_factors(maker: StartMaker, best: Chosen, validation: Validation) -> Chosen:
    """iALS alone, uphill from its defaults."""
    best = moved(best, factor_share=1.0)
    score = maker.ndcg(best, validation)
    for ways in FACTOR_STEPS:
        for step in ways:
            before = best
            best, score = _uphill(maker, best, score, step, validation)
            if best is not before:
                break  # where one way was up, the other is down
    return best


def _uphill(
    maker: StartMaker, best: Chosen, score: float, step: tuple[float, float], validation: Validation
) -> tuple[Chosen, float]:
    """From the best so far on by a step of iALS's dials, as long as the score goes up."""
    for _ in range(MOST_STEPS):
        dials = best.dials
        one = moved(best, factor_weight=dials.factor_weight * step[0], factor_reg=dials.factor_reg * step[1])
        if (value := maker.ndcg(one, validation)) <= score:
            break
        best, score = one, value
    return best, score


def _best(maker: StartMaker, tries: list[Chosen], validation: Validation) -> Chosen:
    """The first of the best tries."""
    return max(tries, key=lambda one: maker.ndcg(one, validation))


def moved(chosen: Chosen, **dials: float | tuple[float, float] | None) -> Chosen:
    """The same with some dials of the start changed."""
    return replace(chosen, dials=replace(chosen.dials, **dials))  # type: ignore[arg-type]  # names of Dials
