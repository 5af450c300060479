"""A graph as it is written down: ONNX's own text form, and the numbers in it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Constants = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Graph:
    """`inputs` and `outputs` as "float[batch,3] name"; `nodes` one per line; a dynamic axis is a word."""

    name: str
    inputs: list[str]
    outputs: list[str]
    nodes: str
    constants: Constants

    def text(self) -> str:
        """The graph without its constants, for the parser."""
        return f"{self.name} ({', '.join(self.inputs)}) => ({', '.join(self.outputs)}) {{{self.nodes}\n}}"
