"""Whether training computes in bf16: what was asked for, else what this machine multiplies faster.

Not covered: dtype of the frozen base (``models.loading``), float16.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

SHAPE = (64, 576, 1536)
"""Rows, inner and outer width of the products that are timed: a feed-forward layer of a model of 135M."""
ROUNDS = 7
"""Products of each format; the fastest counts, since other programs only ever slow one down."""


def chosen_bf16(bf16: bool | None, dtype: str, device: str) -> bool:
    """Whether products are computed in bf16 (autocast): ``bf16`` if given, else as ``dtype`` says, else the faster.

    ``dtype``: that of the base as it was asked for, auto included. ``device``: cpu or cuda.
    """
    if bf16 is not None or dtype != "auto":
        return dtype == "bfloat16" if bf16 is None else bf16
    return bf16_is_faster(device)


@cache
def bf16_is_faster(device: str) -> bool:
    """Whether a product in bf16 is faster than in float32: by the instructions, on CPUs that have them by a clock.

    The choice is made once a process. Processors with such instructions are about twice as fast, emulation is several
    times slower: the margin is wide both ways.
    """
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if not has_bf16_instructions():
        return False
    times = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    for _ in range(ROUNDS):
        for dtype, fastest in times.items():
            times[dtype] = min(fastest, _product_time(dtype))
    return times[torch.bfloat16] < times[torch.float32]


def has_bf16_instructions() -> bool:
    """Whether the CPU multiplies in bf16 itself (AVX512_BF16, AMX, or what oneDNN knows of other processors)."""
    import platform

    import torch

    if not hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported") or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # oneDNN calls emulation on AVX512 supported too.
    asked = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return any(one is not None and one() for one in asked)


def _product_time(dtype: Any) -> float:
    """Seconds of one product."""
    import torch

    rows, inner, outer = SHAPE
    left, right = torch.ones(rows, inner, dtype=dtype), torch.ones(outer, inner, dtype=dtype)
    started = time.perf_counter()
    torch.nn.functional.linear(left, right)
    return time.perf_counter() - started
