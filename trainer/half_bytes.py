"""Two coordinates in one byte: how they are packed, and the ONNX nodes that unpack them.

ONNX's own int4 came with opset 21, after what onnxruntime-web runs whole; a division by 16 does as well. The
high half of a byte is a coordinate of a row's first half, the low half one of its second: -7 to 7, plus 8.
"""

import numpy as np
import numpy.typing as npt

LARGEST = 7

# {codes}: uint8 [..., R/2] -> {name}: float [..., R]
NODES = """
    {name}_bytes = Cast <to = 1> ({codes})
    {name}_sixteenths = Mul ({name}_bytes, sixteenth)
    {name}_high = Floor ({name}_sixteenths)
    {name}_high_part = Mul ({name}_high, sixteen)
    {name}_low = Sub ({name}_bytes, {name}_high_part)
    {name}_halves = Concat <axis = -1> ({name}_high, {name}_low)
    {name} = Sub ({name}_halves, eight)"""
CONSTANTS = {
    name: np.array(n, np.float32) for name, n in (("sixteenth", 1 / 16), ("sixteen", 16), ("eight", 8))
}


def pack(codes_NR: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Codes from -7 to 7, R even, as (N, R/2) bytes."""
    shifted = (codes_NR + 8).astype(np.uint8)
    middle = shifted.shape[1] // 2
    return shifted[:, :middle] * np.uint8(16) + shifted[:, middle:]


def unpack(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """The inverse of `pack`."""
    return np.concatenate([packed // 16, packed % 16], axis=1).astype(np.int8) - np.int8(8)
