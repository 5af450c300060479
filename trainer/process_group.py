"""Several processes that train together, as torchrun starts them; one alone is a group too."""

import gc
import importlib
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

# The others wait while the first computes the start: minutes on a large mart, and torch gives up after 10.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Group:
    """Process `rank` of `size`; rank 0 decides, validates and writes."""

    rank: int = 0
    size: int = 1

    def share(self, value: Any) -> Any:
        """What rank 0 passed in, everywhere."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def fewest(self, number: int) -> int:
        """The smallest of everybody's numbers."""
        if self.size == 1:
            return number
        all_numbers: list[Any] = [None] * self.size
        distributed.all_gather_object(all_numbers, number)
        return int(min(all_numbers))


def join_group() -> Group:
    """The group that torchrun's variables tell of; alone without them."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not distributed.is_initialized():
        # DistributedDataParallel imports this; imported inside a group, it keeps that group for ever.
        importlib.import_module("torch._dynamo")
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    return Group(distributed.get_rank(), size)


def leave_group(group: Group) -> None:
    """Let go of the others; process 0 comes here last, after it has judged and published.

    Nothing may hold the group then: only its end joins its threads, and one that still lets go of a tensor
    while the interpreter ends takes the process down (SIGABRT).
    """
    if group.size > 1:
        distributed.destroy_process_group()
        gc.collect()
