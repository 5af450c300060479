"""`two_tower_<version>.onnx`: two ids in, their score out. Two tables of unit vectors and a dot product."""

import numpy as np

from trainer import half_bytes
from trainer.onnx_graph import Constants, Graph
from trainer.precision import GRAPH_BYTES, LIMIT_BYTES, SCALE_BYTES, Floats, Precision, fit_tables

# Users join the file while every vector keeps so many coordinates of one byte; the README has the cost.
WANTED_COORDINATES = 64

# Whoever is not in the map (a negative id, one beyond the end) is moved to the last row: zeros, so score 0.
NODES = """
    user_from_start = GreaterOrEqual (user_idx, zero)
    user_to_end = Less (user_idx, unknown_user)
    user_known = And (user_from_start, user_to_end)
    user_row = Where (user_known, user_idx, unknown_user)
    item_from_start = GreaterOrEqual (item_idx, zero)
    item_to_end = Less (item_idx, unknown_item)
    item_known = And (item_from_start, item_to_end)
    item_row = Where (item_known, item_idx, unknown_item)
    user_codes = Gather <axis = 0> (users, user_row)
    item_codes = Gather <axis = 0> (items, item_row)"""
WHOLE = """
    user_vector = Cast <to = 1> (user_codes)
    item_vector = Cast <to = 1> (item_codes)"""
HALVES = "".join(
    half_bytes.NODES.format(name=f"{side}_vector", codes=f"{side}_codes") for side in ("user", "item")
)
PRODUCTS = """
    products = Mul (user_vector, item_vector)"""
EXACT = """
    score = ReduceSum <keepdims = 0> (products, last_axis)"""
SCALED = """
    sums = ReduceSum <keepdims = 0> (products, last_axis)
    user_scale = Gather <axis = 0> (user_scales, user_row)
    item_scale = Gather <axis = 0> (item_scales, item_row)
    scale = Mul (user_scale, item_scale)
    score = Mul (sums, scale)"""


def most_users(n_items: int, dimension: int, limit_bytes: int = LIMIT_BYTES) -> int:
    """How many users a file has room for beside `n_items`; at least one, so that a file can be tried."""
    bytes_per_row = min(WANTED_COORDINATES, dimension) + SCALE_BYTES
    return max((limit_bytes - GRAPH_BYTES) // bytes_per_row - n_items - 2, 1)


def score_graph(
    users_UD: Floats, items_ID: Floats, limit_bytes: int = LIMIT_BYTES
) -> tuple[Graph, Precision]:
    """`user_idx`, `item_idx` int64 [batch] -> `score` float [batch]: the cosine; 0 for an id not in the maps.

    `users_UD` and `items_ID` are unit vectors in the order of the two maps.
    """
    nobody = np.zeros((1, users_UD.shape[1]), np.float32)
    (users, items), precision = fit_tables(
        [np.vstack([users_UD, nobody]), np.vstack([items_ID, nobody])],
        limit_bytes - GRAPH_BYTES,
        one_rotation=True,
    )
    constants: Constants = {
        "users": users.codes,
        "items": items.codes,
        "zero": np.array(0, np.int64),
        "unknown_user": np.array(len(users_UD), np.int64),
        "unknown_item": np.array(len(items_ID), np.int64),
        "last_axis": np.array([1], np.int64),
    }
    if users.scales is not None and items.scales is not None:
        constants |= {"user_scales": users.scales, "item_scales": items.scales}
    if users.is_packed:
        constants |= half_bytes.CONSTANTS
    nodes = (
        NODES
        + (HALVES if users.is_packed else WHOLE)
        + PRODUCTS
        + (EXACT if users.scales is None else SCALED)
    )
    inputs = ["int64[batch] user_idx", "int64[batch] item_idx"]
    return Graph("two_tower", inputs, ["float[batch] score"], nodes, constants), precision
