"""RecTools' DSSM on likes from a file: its vectors, seconds and peak memory. Run by peers.py.

    python rectools_dssm.py LIKES.npz VECTORS.npz

RecTools asks for older numpy and pandas than this project, so it has an environment of its own:
pip install 'rectools[torch]'. Its defaults, but for 256 factors; an item's features are its id, maker and
tags, a user's only that there is one (the model reads the likes themselves beside it).
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

FACTORS = 256


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dataset_of(likes: Any) -> Any:
    """A rectools Dataset of user, item [likes] and feature_item, feature_name, feature_value [features]."""
    import pandas as pd
    from rectools.dataset import Dataset

    users = np.unique(likes["user"])
    interactions = pd.DataFrame(
        {
            "user_id": likes["user"],
            "item_id": likes["item"],
            "weight": 1.0,
            "datetime": pd.Timestamp(2020, 1, 1),
        }
    )
    items = pd.DataFrame(
        {"id": likes["feature_item"], "feature": likes["feature_name"], "value": likes["feature_value"]}
    )
    return Dataset.construct(
        interactions,
        user_features_df=pd.DataFrame({"id": users, "feature": "is", "value": "a user"}),
        cat_user_features=["is"],
        item_features_df=items[items["id"].isin(np.unique(likes["item"]))],
        cat_item_features=["id", "maker", "tag"],
    )


def main(source: Path, target: Path) -> None:
    from rectools.models import DSSMModel

    likes = np.load(source)
    dataset = dataset_of(likes)
    model = DSSMModel(n_factors=FACTORS, loggers=False)
    before, started = peak_mb(), time.perf_counter()
    model.fit(dataset)
    seconds = time.perf_counter() - started
    u, v = model.get_vectors(dataset)
    # it ranks by Euclidean distance: -|u - v|^2 is, but for what depends on u alone, [u, 1] . [2 v, -|v|^2]
    users = np.zeros((int(likes["n_users"]), FACTORS + 1), np.float32)
    items = np.zeros((int(likes["n_items"]), FACTORS + 1), np.float32)
    items[:, -1] = -np.inf  # an item nobody liked has no vector
    users[dataset.user_id_map.external_ids] = np.hstack([u, np.ones((len(u), 1))])
    items[dataset.item_id_map.external_ids] = np.hstack([2 * v, -(v**2).sum(axis=1, keepdims=True)])
    items[:, -1] = np.nan_to_num(items[:, -1], neginf=-1e9)
    np.savez(target, users=users, items=items)
    epochs = model.max_epochs
    print(json.dumps({"fit_s": seconds, "peak_MB": peak_mb() - before, "epochs": epochs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
