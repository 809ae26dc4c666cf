"""Tensors that are a function of a seed and a name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variants import Variant

PROMPT_LENGTHS = (5, 17, 40)
NEW_TOKENS = 64
MASK64 = 2**64 - 1
Array = npt.NDArray[Any]


def fnv1a64(data: bytes) -> int:
    """64-bit FNV-1a (Fowler, Noll, Vo): xor each byte in, then multiply by the prime."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & MASK64
    return value


def uniform24(name: str, seed: int, count: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [0, 1) with 24 random bits each, for the stream (name, seed).

    With all arithmetic modulo 2^64:
        h    = fnv1a64(name) ^ (seed * 0xD1B54A32D192ED03)
        u[i] = (mix(h + (i+1) * 0x9E3779B97F4A7C15) >> 40) / 2^24
        mix(z): z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
                z = (z ^ (z >> 27)) * 0x94D049BB133111EB
                return z ^ (z >> 31)
    `mix` and the increment are SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), so
    element i is the i-th output of that generator started at h; here all are
    computed at once, since each depends on its index alone.
    """
    start = fnv1a64(name.encode()) ^ ((seed * 0xD1B54A32D192ED03) & MASK64)
    index = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(start) + index * np.uint64(0x9E3779B97F4A7C15)  # arrays wrap silently
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


@dataclass(frozen=True)
class Recipe:
    """Shape and distribution of one tensor: offset + scale * (2u - 1), row-major."""

    shape: tuple[int, ...]
    scale: float
    offset: float


def tensor_values(name: str, recipe: Recipe, seed: int) -> npt.NDArray[np.float32]:
    """The tensor, computed in float64 and rounded once to float32.

    Scales and offsets are multiples of 2^-10 and u has 24 bits, so the float64
    value is exact: the order of operations or a fused multiply-add cannot matter.
    """
    u = uniform24(name, seed, math.prod(recipe.shape))
    return (recipe.offset + recipe.scale * (2.0 * u - 1.0)).astype(np.float32).reshape(recipe.shape)


def make_prompts(seed: int, vocab: int) -> list[list[int]]:
    """Prompts of 5, 17 and 40 ids in [3, vocab), clear of the special ids 0..2."""
    return [
        [3 + int(u * (vocab - 3)) for u in uniform24(f"prompt.{length}", seed, length)] for length in PROMPT_LENGTHS
    ]


def to_grid(value: float) -> float:
    """Nearest multiple of 2^-10 (see `tensor_values`)."""
    return round(value * 1024) / 1024


EMBEDDINGS = (
    "wte.weight",
    "wpe.weight",
    "embed_tokens.weight",
    "embed_positions.weight",
    "word_embeddings.weight",
    "embed_in.weight",
)


FINAL_NORMS = (
    "transformer.ln_f.weight",
    "model.decoder.final_layer_norm.weight",
    "model.norm.weight",
    "model.final_layernorm.weight",
)
OUTPUT_HEADS = ("lm_head.weight", "embed_out.weight")


def recipe_for(name: str, shape: tuple[int, ...], variant: Variant) -> Recipe:
    """The distribution of a tensor, decided by its role.

    Matrices get half-width 1.7/sqrt(fan_in), which keeps unit variance (1.7^2/3
    is about 1); output heads more, to spread the logits.  Where the embedding is
    also the output head, the last norm's weights lie on both sides of zero:
    otherwise a token's own embedding, still in the residual stream, would make
    the model repeat the token just read.
    """
    tied = variant.config["tie_word_embeddings"]
    for suffix, (scale, offset) in variant.special.items():
        if name.endswith(suffix):
            return Recipe(shape, to_grid(scale), to_grid(offset))
    if name.endswith(EMBEDDINGS):
        return Recipe(shape, 0.5 if tied else 1.0, 0.0)
    if name in FINAL_NORMS and tied:
        return Recipe(shape, 2.0, 0.0)
    if len(shape) == 1:
        is_bias = name.endswith("bias")
        return Recipe(shape, to_grid(0.2 if is_bias else 0.3), 0.0 if is_bias else 1.0)
    fan_in = shape[0] if variant.config["model_type"] == "gpt2" else shape[1]  # Conv1D is [in, out]
    gain = 4.0 if name in OUTPUT_HEADS else 1.7
    return Recipe(shape, to_grid(gain / math.sqrt(fan_in)), 0.0)
