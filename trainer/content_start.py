"""What content says of a video's vectors: ridge regression of the vectors of known videos on their features.

So a video that nobody has rated stands where videos of its maker, tags, performers and words stand, in all
coordinates: taste, popularity, likeness, and what it says in a history. Its popularity is what videos of its
kind came to, those that people passed over included. Elsewhere ids are dropped at random in training so that
content learns to do alone; here it is fitted without them, and nothing has to be dropped.
"""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from trainer.features import ItemFeatures
from trainer.linear import ridge

# Both tried on a tenth of the videos withheld, movietweetings and movielens, each 2 to 32 and 0 to 20: a
# smaller penalty ranks the withheld higher in the whole catalogue, a larger one better among themselves.
PENALTY = 4.0  # videos a value must be seen on before it is believed about as much as the mean
HALF_BELIEVED = 10.0  # likes at which a video's own vector counts half of what it may at most


def fit_content(
    features: ItemFeatures, targets: torch.Tensor, n_likes: npt.NDArray[np.integer]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(mean [T], category table [G + 1, T], dense table [E, T]): mean + their sums come nearest to the
    targets [N, T].

    A video with n likes [N] weighs (n + 1) / (n + 1 + HALF_BELIEVED): what one like says is mostly noise, and
    what nobody liked still shows how little its kind is liked.
    """
    index, weight = features.category_index.numpy(), features.category_weight.numpy()
    n = len(index)
    n_categories = int(index.max(initial=0)) + 1
    rows = np.repeat(np.arange(n), index.shape[1])
    categories = sp.csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(n, n_categories))
    matrix = sp.csr_matrix(sp.hstack([categories, sp.csr_matrix(features.dense.numpy())]), dtype=np.float32)
    belief = ((n_likes + 1) / (n_likes + 1 + HALF_BELIEVED)).astype(np.float32)
    belief /= belief.mean()
    wanted = targets.numpy().astype(np.float32)
    mean = (belief[:, None] * wanted).mean(axis=0)
    root = np.sqrt(belief)
    weighted = sp.csr_matrix(sp.diags(root) @ matrix, dtype=np.float32)
    w = torch.from_numpy(ridge(weighted, (wanted - mean) * root[:, None], PENALTY))
    w[0] = 0  # padding
    return torch.from_numpy(mean), w[:n_categories], w[n_categories:]
