"""From written-down graphs to ONNX files that every runtime opens: one file each, checked, described.

Opset 18: the newest that onnxruntime and onnxruntime-web both run whole. Graphs are written, not traced: a
few dozen nodes from the very numbers that go to Postgres, the same whatever PyTorch's exporter does next, and
no output called `embedding`, which in a traced graph clashes with nn.Embedding's and is silently invalid.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from trainer.errors import StorageError
from trainer.onnx_graph import Graph
from trainer.precision import LIMIT_BYTES

OPSET = 18
# Opset 18 came with IR version 8; a higher number would only shut out older runtimes.
IR_VERSION = 8
HEADER = f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}], producer_name: "martello">'


def to_model(graph: Graph) -> onnx.ModelProto:
    """The graph with its numbers inside, checked node by node; a failure here is a fault of ours."""
    model = onnx.parser.parse_model(HEADER + graph.text())
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in graph.constants.items()
        if name in used
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def save(graph: Graph, path: Path, properties: Mapping[str, str], limit_bytes: int = LIMIT_BYTES) -> None:
    """One self-contained file; `properties` (version, weights_sha256, …) go into its metadata.

    Raises StorageError when the file would be larger than `limit_bytes`.
    """
    model = to_model(graph)
    onnx.helper.set_model_props(model, dict(properties))
    content = model.SerializeToString()
    if len(content) > limit_bytes:
        raise StorageError(
            f"{path.name} would have {len(content)} bytes, the limit is {limit_bytes}",
            "train with fewer categories or a smaller --embedding-dim",
        )
    path.write_bytes(content)


def properties(path: Path) -> dict[str, str]:
    """The metadata of a file that `save` wrote."""
    model = onnx.load(path)
    return {entry.key: entry.value for entry in model.metadata_props}
