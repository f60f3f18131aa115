"""Made-up clustered scores, and the standard error that statsmodels gives them."""

import random
from collections.abc import Hashable, Sequence

import numpy as np
from statsmodels.regression.linear_model import OLS

Labels = Sequence[Hashable]


def clustered_error(values: Sequence[float], clusters: Labels) -> float:
    """Return the standard error of an intercept by clustered least squares, of statsmodels."""
    names = {label: number for number, label in enumerate(dict.fromkeys(clusters))}
    fitted = OLS(np.asarray(values), np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": np.array([names[each] for each in clusters])}
    )
    return float(fitted.bse[0])


def made_up(seed: int, n_clusters: int, share: float = 0.6) -> tuple[list[float], list[int]]:
    """Return right and wrong answers in clusters of 1 to 6, half of which are all of one kind."""
    rng = random.Random(seed)
    values, clusters = [], []
    for cluster in range(n_clusters):
        alike, common = rng.random() < 0.5, rng.random() < share
        for _ in range(rng.randint(1, 6)):
            values.append(float(common if alike else rng.random() < share))
            clusters.append(cluster)
    return values, clusters
