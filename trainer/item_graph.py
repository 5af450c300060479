"""`item_tower.onnx`: what is known of a video in, its two vectors out; for videos that came after training.

The arithmetic of ItemTower and TextEncoder, but for the hashing of n-grams, which is left to the caller:

    text   = normalise((1 + ln count) idf) @ projection
    c      = tanh(Σ weight category + dense @ [numbers; text])
    item_vector = normalise(id + c V),  history_vector = id' + c H      (id, id' zero for a new video)
"""

from typing import Any

import numpy as np
import torch

from trainer.features import Vocabularies
from trainer.onnx_graph import Constants, Graph
from trainer.precision import GRAPH_BYTES, LIMIT_BYTES, Precision, Table, fit_tables
from trainer.text import TextEncoder
from trainer.towers import ItemTower

# An id outside the table, negative or too large, becomes 0: a video training did not know.
CLAMP = """
    {name}_from_start = GreaterOrEqual ({name}, zero)
    {name}_to_end = Less ({name}, n_{name})
    {name}_known = And ({name}_from_start, {name}_to_end)
    {name}_row = Where ({name}_known, {name}, zero)"""
ROWS = """
    {name}_codes = Gather <axis = 0> ({name}_table, id_index_row)
    {name}_rows = Cast <to = 1> ({name}_codes)"""
SCALED_ROWS = """
    {name}_scale = Gather <axis = 0> ({name}_scales, id_index_row)
    {name}_scale_column = Unsqueeze ({name}_scale, last_axis)
    {name}_scaled = Mul ({name}_rows, {name}_scale_column)"""
CATEGORIES = """
    category_used = Greater (category_index_row, zero)
    category_mask = Cast <to = 1> (category_used)
    category_share = Mul (category_weight, category_mask)
    category_vectors = Gather <axis = 0> (category_table, category_index_row)
    category_share_row = Unsqueeze (category_share, last_axis)
    category_sum_row = MatMul (category_share_row, category_vectors)
    category_sum = Squeeze (category_sum_row, last_axis)"""
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
    dense_sum = MatMul (dense_input, dense_weights)
    before_tanh = {before_tanh}
    content = Tanh (before_tanh)"""
NORMALISE = """
    item_length = ReduceL2 <keepdims = 1> (item_raw, last_axis)
    item_safe_length = Max (item_length, tiny)
    item_vector = Div (item_raw, item_safe_length)"""


def item_graph(
    tower: ItemTower, vocabularies: Vocabularies, n_slots: int, limit_bytes: int = LIMIT_BYTES
) -> tuple[Graph, Precision]:
    """id_index, category_index, category_weight, numbers, text_buckets, text_counts -> both item vectors.

    Inputs a model was trained without are left out. `n_slots` is L of ItemFeatures. Text comes as hashed
    n-grams with how often each occurs, 0 for padding.
    """
    numbers = 2 * len(vocabularies.numbers)
    inputs, nodes, constants = ["int64[batch] id_index"], CLAMP.format(name="id_index"), _scalars()
    if tower.has_content:
        more_inputs, more_nodes, more_constants = _content(tower, vocabularies, n_slots, numbers)
        inputs += more_inputs
        nodes += more_nodes
        constants |= more_constants
    room = limit_bytes - GRAPH_BYTES - sum(array.nbytes for array in constants.values())
    pair = [_array(tower.id_embedding_ID), _array(tower.id_history_ID)]
    tables, precision = fit_tables(pair, room)
    constants["n_id_index"] = np.array(len(pair[0]), np.int64)
    for name, table in zip(("item", "history"), tables, strict=True):
        found, nodes_of_table = _id_rows(name, table, tower.has_content)
        constants |= found
        nodes += nodes_of_table
    d = pair[0].shape[1]
    outputs = [f"float[batch,{d}] item_vector", f"float[batch,{d}] history_vector"]
    nodes += NORMALISE + "\n    history_vector = Identity (history_raw)"
    return Graph("item_tower", inputs, outputs, nodes, constants), precision


def _content(
    tower: ItemTower, vocabularies: Vocabularies, n_slots: int, numbers: int
) -> tuple[list[str], str, Constants]:
    inputs: list[str] = []
    nodes = ""
    constants: Constants = {
        "item_content": _array(tower.content_embedding.weight).T,
        "history_content": _array(tower.content_history.weight).T,
    }
    parts = []
    if n_slots:
        inputs += [f"int64[batch,{n_slots}] category_index", f"float[batch,{n_slots}] category_weight"]
        nodes += CLAMP.format(name="category_index") + CATEGORIES
        constants["category_table"] = _array(tower.category_GC)
        constants["n_category_index"] = np.array(len(tower.category_GC), np.int64)
    if numbers:
        inputs.append(f"float[batch,{numbers}] numbers")
        parts.append("numbers")
    if vocabularies.text:
        inputs += ["int64[batch,ngrams] text_buckets", "float[batch,ngrams] text_counts"]
        nodes += CLAMP.format(name="text_buckets") + TEXT
        constants |= _text(vocabularies.text)
        parts.append("text_vector")
    if tower.dense is None:
        return inputs, nodes + "\n    content = Identity (category_sum)", constants
    constants["dense_weights"] = _array(tower.dense.weight).T
    before_tanh = "Add (category_sum, dense_sum)" if n_slots else "Identity (dense_sum)"
    return inputs, nodes + DENSE.format(parts=", ".join(parts), before_tanh=before_tanh), constants


def _text(text: TextEncoder) -> Constants:
    # the projection has been through float16 already: nothing is lost by keeping it so
    return {
        "idf_table": text.idf,
        "projection_table": text.projection.astype(np.float16),
        "n_text_buckets": np.array(len(text.idf), np.int64),
        "tiny_text": np.array(1e-9, np.float32),
    }


def _id_rows(name: str, table: Table, has_content: bool) -> tuple[Constants, str]:
    constants: Constants = {f"{name}_table": table.codes}
    nodes, rows = ROWS.format(name=name), f"{name}_rows"
    if table.scales is not None:
        constants[f"{name}_scales"] = table.scales
        nodes, rows = nodes + SCALED_ROWS.format(name=name), f"{name}_scaled"
    if table.axes is not None:
        constants[f"{name}_axes"] = table.axes
        nodes, rows = nodes + f"\n    {name}_turned = MatMul ({rows}, {name}_axes)", f"{name}_turned"
    if has_content:
        nodes += f"\n    {name}_from_content = MatMul (content, {name}_content)"
        return constants, nodes + f"\n    {name}_raw = Add ({rows}, {name}_from_content)"
    return constants, nodes + f"\n    {name}_raw = Identity ({rows})"


def _scalars() -> Constants:
    return {
        "zero": np.array(0, np.int64),
        "nothing": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "tiny": np.array(1e-12, np.float32),  # torch.nn.functional.normalize's own
        "last_axis": np.array([1], np.int64),
    }


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().float().numpy()
