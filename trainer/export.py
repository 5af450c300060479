"""Three ONNX files: a score for two ids, the user tower, the item tower. One file each, no external data.

The first two are written down as the arithmetic they are, in ONNX's own text form, from the very numbers that
go to Postgres; the item tower is traced from PyTorch. Opset 18: the newest that onnxruntime and
onnxruntime-web both run whole. No output is called `embedding`: that name clashes with nn.Embedding's in the
traced graph and gives an invalid model without a complaint.

Shapes in the graphs: batch, likes, dislikes (all dynamic).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from trainer.errors import StorageError
from trainer.precision import LIMIT_BYTES, Precision, fit_tables

OPSET = 18
# Opset 18 came with IR version 8; a higher number would only shut out older runtimes.
IR_VERSION = 8

Floats = npt.NDArray[np.float32]
TowerRow = tuple[str, int, Floats, float]  # layer, unit, weights, bias: a row of recsys.user_tower

HEADER = f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}], producer_name: "martello">'

# Whoever is not in the map (a negative id, one beyond the end) is moved to the last row: zeros, so score 0.
SCORE = """
two_tower (int64[batch] user_idx, int64[batch] item_idx) => (float[batch] score) {
    user_from_start = GreaterOrEqual (user_idx, zero)
    user_to_end = Less (user_idx, unknown_user)
    user_known = And (user_from_start, user_to_end)
    user_row = Where (user_known, user_idx, unknown_user)
    item_from_start = GreaterOrEqual (item_idx, zero)
    item_to_end = Less (item_idx, unknown_item)
    item_known = And (item_from_start, item_to_end)
    item_row = Where (item_known, item_idx, unknown_item)
    user_codes = Gather <axis = 0> (users, user_row)
    item_codes = Gather <axis = 0> (items, item_row)
    user_vector = Cast <to = 1> (user_codes)
    item_vector = Cast <to = 1> (item_codes)
    products = Mul (user_vector, item_vector)
    %s
}
"""
SUM_OF_PRODUCTS = "score = ReduceSum <keepdims = 0> (products, last_axis)"
SUM_OF_SCALED_PRODUCTS = """sums = ReduceSum <keepdims = 0> (products, last_axis)
    user_scale = Gather <axis = 0> (user_scales, user_row)
    item_scale = Gather <axis = 0> (item_scales, item_row)
    scale = Mul (user_scale, item_scale)
    score = Mul (sums, scale)"""

# p = Σ w h / (Σ w)^exponent, zero without a like; q the same of dislikes; x = [p; q; a];
# user_vector = normalise(S x + s0 + O relu(H x + h0))
POOL = """
    {side}_row = Unsqueeze ({side}_weights, middle_axis)
    {side}_sum_row = MatMul ({side}_row, {side})
    {side}_sum = Squeeze ({side}_sum_row, middle_axis)
    {side}_weight = ReduceSum <keepdims = 1> ({side}_weights, last_axis)
    {side}_any = Greater ({side}_weight, nothing)
    {side}_mass = Where ({side}_any, {side}_weight, one)
    {side}_norm = Pow ({side}_mass, pooling_exponent)
    {side}_pooled = Div ({side}_sum, {side}_norm)"""
HIDDEN = """
    hidden_sum = Gemm <transB = 1> (x, hidden_weights, hidden_bias)
    hidden = Relu (hidden_sum)
    hidden_part = Gemm <transB = 1> (hidden, output_weights)
    raw = Add (skip_part, hidden_part)"""
NORMALISE = """
    length = ReduceL2 <keepdims = 1> (raw, last_axis)
    safe_length = Max (length, tiny)
    user_vector = Div (raw, safe_length)
"""


def score_model(
    users_UD: Floats, items_ID: Floats, limit_bytes: int = LIMIT_BYTES
) -> tuple[onnx.ModelProto, Precision]:
    """`user_idx`, `item_idx` int64 [batch] -> `score` float [batch]: the cosine; 0 for an id not in the maps.

    `users_UD` and `items_ID` are unit vectors in the order of the two maps.
    """
    users, items, precision = fit_tables(users_UD, items_ID, limit_bytes)
    scaled = users.scales is not None
    model = _parse(SCORE % (SUM_OF_SCALED_PRODUCTS if scaled else SUM_OF_PRODUCTS))
    constants: dict[str, npt.NDArray[np.generic]] = {
        "users": users.codes,
        "items": items.codes,
        "zero": np.array(0, np.int64),
        "unknown_user": np.array(len(users_UD), np.int64),
        "unknown_item": np.array(len(items_ID), np.int64),
        "last_axis": np.array([1], np.int64),
    }
    if users.scales is not None and items.scales is not None:
        constants |= {"user_scales": users.scales, "item_scales": items.scales}
    return _with(model, constants), precision


def user_tower_model(
    rows: Iterable[TowerRow], embedding_dim: int, n_aggregates: int, pooling_exponent: float
) -> onnx.ModelProto:
    """History vectors with their weights -> `user_vector` float [batch, D], of unit length.

    A weight of 0 is the mask: a padded row counts for nothing. `rows` are those of recsys.user_tower, so the
    graph and the SQL function read the same numbers. Raises StorageError when they do not fit the dimensions.
    """
    layers = _layers(rows, embedding_dim, 2 * embedding_dim + n_aggregates)
    d, k = embedding_dim, n_aggregates
    inputs = [f"float[batch,likes,{d}] likes", "float[batch,likes] likes_weights"]
    inputs += [f"float[batch,dislikes,{d}] dislikes", "float[batch,dislikes] dislikes_weights"]
    inputs += [f"float[batch,{k}] aggregates"] if k else []
    joined = "likes_pooled, dislikes_pooled" + (", aggregates" if k else "")
    body = POOL.format(side="likes") + POOL.format(side="dislikes")
    body += f"\n    x = Concat <axis = 1> ({joined})"
    body += "\n    skip_part = Gemm <transB = 1> (x, skip_weights, skip_bias)"
    body += HIDDEN if "hidden_weights" in layers else "\n    raw = Identity (skip_part)"
    graph = f"user_tower ({', '.join(inputs)}) => (float[batch,{d}] user_vector) {{{body}{NORMALISE}}}"
    constants: dict[str, npt.NDArray[np.generic]] = {
        **layers,
        "middle_axis": np.array([1], np.int64),
        "last_axis": np.array([1], np.int64),
        "nothing": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "pooling_exponent": np.array(pooling_exponent, np.float32),
        "tiny": np.array(1e-12, np.float32),  # torch.nn.functional.normalize's own
    }
    return _with(_parse(graph), constants)


def _layers(rows: Iterable[TowerRow], d: int, width: int) -> dict[str, Floats]:
    """Rows by (layer, unit) as matrices: skip_weights (D, width), skip_bias (D,), and so for hidden, output."""
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
            raise StorageError(
                f"the user tower's {layer} layer is {found[0]} x {found[1]}, not {shape[0]} x {shape[1]}",
                "export the model with the embedding dimension it was trained with",
            )
    layers.pop("output_bias", None)
    return layers


def _parse(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEADER + graph)


def _with(model: onnx.ModelProto, constants: Mapping[str, npt.NDArray[np.generic]]) -> onnx.ModelProto:
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()
    )
    return model
