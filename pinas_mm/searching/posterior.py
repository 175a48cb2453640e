"""What an arch's noisy score is really worth: the posterior mean of a Gaussian process over all
scores of a search. No torch."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

from ..spaces import Arch, SearchSpace
from .scale import standardised

# The kernel's parameters are fitted to so many archs: the time grows with their third power, and
# more say little more about three numbers.
MOST_FITTED = 200
# The posterior is that of the best so many: 4,000 archs take some 3 seconds and 0.5 GB.
MOST_ARCHS = 4000


def posterior_means(
    space: SearchSpace, archs: Sequence[Arch], scores: ArrayLike
) -> NDArray[np.float64]:
    """The posterior mean of each arch's score, ``(N, )``, in the unit of the scores.

    The best of many noisy scores is the luckiest. A Gaussian process (Rasmussen and Williams, 2006,
    2.2) over one-hot archs says how much of a score the other archs confirm. Its kernel is a sum of
    a linear one, since accuracies are close to additive over slots, a squared exponential one for
    what candidates do together, and white noise; how much of each is fitted to the scores. So
    scores without noise nearly keep their order, and noisy ones are drawn to what archs with the
    same candidates have. On NAS-Bench-Macro, 300 archs and noise of 1 point, naming the winner of
    evolution or of the tree by it leaves less than half of the regret (docs/results/searching.md).

    Args:
        space: The archs' space.
        archs: Archs with a score.
        scores: Their scores ``(N, )``, finite. Of more than 4,000 the best are modelled, the others
            keep their scores.
    """
    result = np.array(scores, float)
    if len(result) < 2 or np.ptp(result) == 0:
        return result
    best = np.sort(np.argsort(-result, kind='stable')[:MOST_ARCHS])
    values, unit, median, scale = standardised(result[best])
    inputs = space.one_hot([archs[i] for i in best]).astype(float)
    kernel = (
        ConstantKernel(1.0) * DotProduct(sigma_0=1.0, sigma_0_bounds='fixed')
        + ConstantKernel(0.3) * RBF(3.0, (1.0, 20.0))
        + WhiteKernel(0.3, (1e-5, 10.0))
    )
    every = max(1, -(-len(best) // MOST_FITTED))
    with warnings.catch_warnings():
        # A parameter at the end of its range is an answer: no noise, or nothing but noise.
        warnings.simplefilter('ignore', ConvergenceWarning)
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        model.fit(inputs[::every], values[::every])
        if every > 1:
            model = GaussianProcessRegressor(model.kernel_, optimizer=None, normalize_y=True)
            model.fit(inputs, values)
    # The noise is not part of what is predicted.
    result[best] = unit * (median + scale * model.predict(inputs))
    return result
