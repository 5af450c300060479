"""`item_tower.onnx`: what is known of a video in, its two vectors out; for videos that came after training.

The arithmetic of ItemTower and TextEncoder, but for the hashing of n-grams, which is left to the caller:

    text    = normalise((1 + ln count) idf) @ projection
    [c; c'] = Σ weight category + [numbers; text] @ dense
    item_vector = fill(id + c),  history_vector = id' + c'      (id, id' of row 0 for a new video)
"""

from typing import Any

import numpy as np
import torch

from trainer import half_bytes
from trainer.features import Vocabularies
from trainer.onnx_graph import Constants, Graph
from trainer.precision import (
    GRAPH_BYTES,
    LIMIT_BYTES,
    MIN_COORDINATES,
    SCALE_BYTES,
    Precision,
    Table,
    fit_tables,
)
from trainer.text import TextEncoder
from trainer.towers import LONGEST_SCORE, ItemTower

# An id outside the table, negative or too large, becomes 0: a video training did not know.
CLAMP = """
    {name}_from_start = GreaterOrEqual ({name}, zero)
    {name}_to_end = Less ({name}, n_{name})
    {name}_known = And ({name}_from_start, {name}_to_end)
    {name}_row = Where ({name}_known, {name}, zero)"""
ROWS = """
    {name}_codes = Gather <axis = 0> ({name}_table, id_index_row)"""
SCALED_ROWS = """
    {name}_scale = Gather <axis = 0> ({name}_scales, id_index_row)
    {name}_scale_column = Unsqueeze ({name}_scale, last_axis)
    {name}_scaled = Mul ({name}_rows, {name}_scale_column)"""
CATEGORIES = """
    category_used = Greater (category_index_row, zero)
    category_mask = Cast <to = 1> (category_used)
    category_known = Mul (category_weight, category_mask)
    category_codes = Gather <axis = 0> (category_table, category_index_row){decoding}{scaling}
    category_share_row = Unsqueeze ({share}, last_axis)
    category_sum_row = MatMul (category_share_row, category_vectors)
    {summed} = Squeeze (category_sum_row, last_axis)"""
CATEGORY_SCALING = """
    category_scale = Gather <axis = 0> (category_scales, category_index_row)
    category_share = Mul (category_known, category_scale)"""
CATEGORY_TURNING = """
    category_sum = MatMul (category_turned, category_axes)"""
TEXT = """
    text_used = Greater (text_counts, nothing)
    text_counted = Max (text_counts, one)
    text_log = Log (text_counted)
    text_frequency = Add (text_log, one)
    text_idf = Gather <axis = 0> (idf_table, text_buckets_row)
    text_product = Mul (text_frequency, text_idf)
    text_weight = Where (text_used, text_product, nothing)
    text_length = ReduceL2 <keepdims = 1> (text_weight, last_axis)
    text_safe_length = Max (text_length, tiny_text)
    text_unit = Div (text_weight, text_safe_length)
    text_codes = Gather <axis = 0> (projection_table, text_buckets_row)
    text_rows = Cast <to = 1> (text_codes)
    text_unit_row = Unsqueeze (text_unit, last_axis)
    text_sum_row = MatMul (text_unit_row, text_rows)
    text_vector = Squeeze (text_sum_row, last_axis)"""
DENSE = """
    dense_input = Concat <axis = 1> ({parts})
    dense_sum = MatMul (dense_input, dense_weights)"""
SPLIT = """
    item_content, history_content = Split <axis = 1, num_outputs = 2> (content)"""
NORMALISE = """
    item_length = ReduceL2 <keepdims = 1> (item_raw, last_axis)
    item_safe_length = Max (item_length, tiny)
    item_vector = Div (item_raw, item_safe_length)"""
FILL = """
    ranked_raw, alike_raw = Split <axis = 1> (item_raw, fill_parts)
    ranked_length = ReduceL2 <keepdims = 1> (ranked_raw, last_axis)
    ranked_excess = Div (ranked_length, longest_score)
    ranked_scale = Max (ranked_excess, one)
    ranked = Div (ranked_raw, ranked_scale)
    ranked_square = ReduceSumSquare <keepdims = 1> (ranked, last_axis)
    left_square = Sub (one, ranked_square)
    left = Sqrt (left_square)
    alike_length = ReduceL2 <keepdims = 1> (alike_raw, last_axis)
    alike_safe_length = Max (alike_length, tiny)
    alike_unit = Div (alike_raw, alike_safe_length)
    alike = Mul (alike_unit, left)
    item_vector = Concat <axis = 1> (ranked, alike)"""


def item_graph(
    tower: ItemTower,
    vocabularies: Vocabularies,
    n_slots: int,
    limit_bytes: int = LIMIT_BYTES,
    *,
    keeps_ids: bool = True,
) -> tuple[Graph, Precision, Precision | None]:
    """id_index, category_index, category_weight, numbers, text_buckets, text_counts -> both item vectors.

    Inputs a model was trained without are left out. `n_slots` is L of ItemFeatures. Text comes as hashed
    n-grams with how often each occurs, 0 for padding. Where a large catalogue leaves the ids less than half
    a byte for every other coordinate, or without `keeps_ids`, they are left out (`coordinates` 0): vectors of
    trained videos are in the score model and in Postgres, this file is for those that came later. Beside the
    graph: how the ids are kept, and how the categories are, None without any.
    """
    inputs, nodes, constants = ["int64[batch] id_index"], CLAMP.format(name="id_index"), _scalars()
    of_categories: Precision | None = None
    if tower.has_content:
        if n_slots:  # at most a third of the file: 100,000 performers still leave room for the ids
            (table,), of_categories = fit_tables([_array(tower.category_G2D)], limit_bytes // 3)
            nodes += _categories(table)
            constants |= _stored("category", table)
            constants["n_category_index"] = np.array(len(table.codes), np.int64)
            inputs += [f"int64[batch,{n_slots}] category_index", f"float[batch,{n_slots}] category_weight"]
        more_inputs, more_nodes, more_constants = _content(tower, vocabularies, bool(n_slots))
        inputs += more_inputs
        nodes += more_nodes
        constants |= more_constants
    room = limit_bytes - GRAPH_BYTES - sum(array.nbytes for array in constants.values())
    pair = [_array(tower.id_embedding_ID), _array(tower.id_history_ID)]
    d = pair[0].shape[1]
    fewest = max(d // 2, MIN_COORDINATES)
    if keeps_ids and room >= (fewest // 2 + SCALE_BYTES) * 2 * len(pair[0]) + 2 * d * fewest * 4:
        tables, precision = fit_tables(pair, room)
    else:
        tables, precision = [Table(rows[:1]) for rows in pair], Precision("float32", 0)
    constants["n_id_index"] = np.array(len(tables[0].codes), np.int64)
    for name, table in zip(("item", "history"), tables, strict=True):
        constants |= _stored(name, table)
        nodes += _id_rows(name, table, tower.has_content)
    outputs = [f"float[batch,{d}] item_vector", f"float[batch,{d}] history_vector"]
    if tower.n_ranked:
        constants["longest_score"] = np.array(LONGEST_SCORE, np.float32)
        constants["fill_parts"] = np.array([tower.n_ranked, d - tower.n_ranked], np.int64)
    nodes += (FILL if tower.n_ranked else NORMALISE) + "\n    history_vector = Identity (history_raw)"
    return Graph("item_tower", inputs, outputs, nodes, constants), precision, of_categories


def _content(
    tower: ItemTower, vocabularies: Vocabularies, has_categories: bool
) -> tuple[list[str], str, Constants]:
    numbers = 2 * len(vocabularies.numbers)
    inputs: list[str] = []
    nodes, parts = "", []
    sums = ["category_sum"] if has_categories else []
    constants: Constants = {}
    if numbers:
        inputs.append(f"float[batch,{numbers}] numbers")
        parts.append("numbers")
    if vocabularies.text:
        inputs += ["int64[batch,ngrams] text_buckets", "float[batch,ngrams] text_counts"]
        nodes += CLAMP.format(name="text_buckets") + TEXT
        constants |= _text(vocabularies.text)
        parts.append("text_vector")
    if parts:
        nodes += DENSE.format(parts=", ".join(parts))
        constants["dense_weights"] = _array(tower.dense_E2D)
        sums.append("dense_sum")
    return inputs, f"{nodes}\n    content = Sum ({', '.join(sums)})" + SPLIT, constants


def _categories(table: Table) -> str:
    scaled, turned = table.scales is not None, table.axes is not None
    nodes = CATEGORIES.format(
        decoding=_decoding("category_vectors", "category_codes", table),
        scaling=CATEGORY_SCALING if scaled else "",
        share="category_share" if scaled else "category_known",
        summed="category_turned" if turned else "category_sum",
    )
    return CLAMP.format(name="category_index") + nodes + (CATEGORY_TURNING if turned else "")


def _decoding(name: str, codes: str, table: Table) -> str:
    """Codes as they were gathered -> floats."""
    if table.is_packed:
        return half_bytes.NODES.format(name=name, codes=codes)
    return f"\n    {name} = Cast <to = 1> ({codes})"


def _stored(name: str, table: Table) -> Constants:
    """A table's arrays under the names the nodes use."""
    constants: Constants = {f"{name}_table": table.codes}
    if table.scales is not None:
        constants[f"{name}_scales"] = table.scales
    if table.axes is not None:
        constants[f"{name}_axes"] = table.axes
    return constants


def _text(text: TextEncoder) -> Constants:
    # the projection has been through float16 already: nothing is lost by keeping it so
    return {
        "idf_table": text.idf,
        "projection_table": text.projection.astype(np.float16),
        "n_text_buckets": np.array(len(text.idf), np.int64),
        "tiny_text": np.array(1e-9, np.float32),
    }


def _id_rows(name: str, table: Table, has_content: bool) -> str:
    rows = f"{name}_rows"
    nodes = ROWS.format(name=name) + _decoding(rows, f"{name}_codes", table)
    if table.scales is not None:
        nodes, rows = nodes + SCALED_ROWS.format(name=name), f"{name}_scaled"
    if table.axes is not None:
        nodes, rows = nodes + f"\n    {name}_turned = MatMul ({rows}, {name}_axes)", f"{name}_turned"
    return (
        nodes
        + f"\n    {name}_raw = "
        + (f"Add ({rows}, {name}_content)" if has_content else f"Identity ({rows})")
    )


def _scalars() -> Constants:
    return {
        "zero": np.array(0, np.int64),
        "nothing": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "tiny": np.array(1e-12, np.float32),  # torch.nn.functional.normalize's own
        "last_axis": np.array([1], np.int64),
        **half_bytes.CONSTANTS,
    }


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().float().numpy()
