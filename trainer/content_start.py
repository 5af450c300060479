"""What content says of a video's vectors, before training: a ridge regression of the start on the features.

So a video that nobody has rated begins where videos of its maker, tags, performers and words are: the little
liked ones above all, which it is like in this as well.
"""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from trainer.features import ItemFeatures
from trainer.linear import ridge

PENALTY = 20.0  # videos a value must be seen on before it is believed about as much as the mean


def fit_content(
    features: ItemFeatures, targets: torch.Tensor, n_likes: npt.NDArray[np.integer]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(category table [G + 1, T], dense table [E, T]) whose sums come nearest to the targets [N, T].

    A video with n likes [N] weighs 1 / n, so that the many likes of a few do not speak for those with none.
    """
    index, weight = features.category_index.numpy(), features.category_weight.numpy()
    n = len(index)
    n_categories = int(index.max(initial=0)) + 1
    rows = np.repeat(np.arange(n), index.shape[1])
    categories = sp.csr_matrix((weight.ravel(), (rows, index.ravel())), shape=(n, n_categories))
    matrix = sp.csr_matrix(sp.hstack([categories, sp.csr_matrix(features.dense.numpy())]), dtype=np.float32)
    root = np.sqrt(1 / np.maximum(n_likes, 1)).astype(np.float32)
    weighted = sp.csr_matrix(sp.diags(root) @ matrix, dtype=np.float32)
    w = torch.from_numpy(ridge(weighted, targets.numpy().astype(np.float32) * root[:, None], PENALTY))
    w[0] = 0  # padding
    return w[:n_categories], w[n_categories:]
