"""`user_tower.onnx`: a history as it comes out of Postgres in, the user's unit vector out. No vocabulary.

The numbers are the rows of recsys.user_tower, so the graph and the SQL function cannot disagree about them:

    p = Σ w h / (Σ w) ^ exponent over likes, q the same over dislikes, x = [p; q; aggregates],
    user_vector = normalise(S x + s0 + O relu(H x + h0))
"""

from collections.abc import Iterable, Sequence

import numpy as np

from trainer.errors import ModelMismatchError
from trainer.onnx_graph import Constants, Graph
from trainer.precision import Floats

TowerRow = tuple[str, int, Sequence[float], float]  # layer, unit, weights, bias

# A weight of 0 is the mask: a padded row counts for nothing. Without any weight the pooled vector is zero.
POOL = """
    {side}_row = Unsqueeze ({side}_weights, middle_axis)
    {side}_sum_row = MatMul ({side}_row, {side}s)
    {side}_sum = Squeeze ({side}_sum_row, middle_axis)
    {side}_weight = ReduceSum <keepdims = 1> ({side}_weights, last_axis)
    {side}_any = Greater ({side}_weight, nothing)
    {side}_mass = Where ({side}_any, {side}_weight, one)
    {side}_norm = Pow ({side}_mass, pooling_exponent)
    {side}_pooled = Div ({side}_sum, {side}_norm)"""
SKIP = """
    x = Concat <axis = 1> ({joined})
    skip_part = Gemm <transB = 1> (x, skip_weights, skip_bias)"""
HIDDEN = """
    hidden_sum = Gemm <transB = 1> (x, hidden_weights, hidden_bias)
    hidden = Relu (hidden_sum)
    hidden_part = Gemm <transB = 1> (hidden, output_weights)
    raw = Add (skip_part, hidden_part)"""
LINEAR = """
    raw = Identity (skip_part)"""
NORMALISE = """
    length = ReduceL2 <keepdims = 1> (raw, last_axis)
    safe_length = Max (length, tiny)
    user_vector = Div (raw, safe_length)"""


def user_graph(
    rows: Iterable[TowerRow], embedding_dim: int, n_aggregates: int, pooling_exponent: float
) -> Graph:
    """likes, like_weights, dislikes, dislike_weights, aggregates -> `user_vector` float [batch, D], a unit.

    `aggregates` are the standardised ones; without any the input is left out. Raises ModelMismatchError when
    the rows do not fit the dimensions.
    """
    d, k = embedding_dim, n_aggregates
    layers = _layers(rows, d, 2 * d + k)
    inputs = [
        f"float[batch,likes,{d}] likes",
        "float[batch,likes] like_weights",
        f"float[batch,dislikes,{d}] dislikes",
        "float[batch,dislikes] dislike_weights",
        *([f"float[batch,{k}] aggregates"] if k else []),
    ]
    joined = ", ".join(["like_pooled", "dislike_pooled", *(["aggregates"] if k else [])])
    nodes = POOL.format(side="like") + POOL.format(side="dislike") + SKIP.format(joined=joined)
    nodes += (HIDDEN if "hidden_weights" in layers else LINEAR) + NORMALISE
    constants: Constants = {
        **layers,
        "middle_axis": np.array([1], np.int64),
        "last_axis": np.array([1], np.int64),
        "nothing": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "pooling_exponent": np.array(pooling_exponent, np.float32),
        "tiny": np.array(1e-12, np.float32),  # torch.nn.functional.normalize's own
    }
    return Graph("user_tower", inputs, [f"float[batch,{d}] user_vector"], nodes, constants)


def _layers(rows: Iterable[TowerRow], d: int, width: int) -> dict[str, Floats]:
    """Rows by (layer, unit) as matrices: skip_weights (D, width), skip_bias (D,); so for hidden, output."""
    ordered = sorted(rows, key=lambda row: (row[0], row[1]))
    layers: dict[str, Floats] = {}
    for layer in ("skip", "hidden", "output"):
        own = [row for row in ordered if row[0] == layer]
        if own:
            layers[f"{layer}_weights"] = np.array([row[2] for row in own], np.float32)
            layers[f"{layer}_bias"] = np.array([row[3] for row in own], np.float32)
    units = len(layers.get("hidden_weights", ()))
    expected = {"skip": (d, width)} | ({"hidden": (units, width), "output": (d, units)} if units else {})
    for layer, shape in expected.items():
        found = layers.get(f"{layer}_weights", np.empty((0, 0))).shape
        if found != shape:
            raise ModelMismatchError(
                f"the user tower's {layer} layer has shape {found} where {shape} belongs",
                "vectors and weights have to come from one model of one dimension; train again",
            )
    layers.pop("output_bias", None)
    return layers
