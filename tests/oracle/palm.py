"""PaLM in NumPy, from Chowdhery et al. 2022, sections 2 and 5."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from variants import Config

Array = npt.NDArray[Any]


def palm_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Published names and shapes of a PaLM checkpoint; kernels are [out, in]."""
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries = config["num_attention_heads"] * width
    keys = config.get("num_key_value_heads", 1) * width  # one head: multi-query attention
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for layer in range(config["num_hidden_layers"]):
        shapes |= {
            f"model.layers.{layer}.{part}.weight": shape
            for part, shape in {
                "input_layernorm": (hidden,),
                "self_attn.q_proj": (queries, hidden),
                "self_attn.k_proj": (keys, hidden),
                "self_attn.v_proj": (keys, hidden),
                "self_attn.o_proj": (hidden, queries),
                "mlp.gate_proj": (inner, hidden),
                "mlp.up_proj": (inner, hidden),
                "mlp.down_proj": (hidden, inner),
            }.items()
        }
    return shapes | {"model.norm.weight": (hidden,)}


def layer_norm(x: Array, weight: Array, eps: float) -> Array:
    """LayerNorm (Ba et al. 2016) without a bias: PaLM has none (section 2, "No Biases")."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + x.dtype.type(eps)) * weight


def rotate(x: Array, theta: float, interleaved: bool) -> Array:
    """RoPE (Su et al. 2021) over the whole head of x[heads, time, head_dim].

    Pair j of position p turns by p * theta^(-2j/head_dim).  Pair j is made of the
    components (j, j + head_dim/2), or (2j, 2j + 1) where `interleaved`.
    """
    time, width = x.shape[1:]
    frequency = theta ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    angle = np.arange(time, dtype=np.float64)[:, None] * frequency
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    first, second = (
        (np.s_[..., 0::2], np.s_[..., 1::2]) if interleaved else (np.s_[..., : width // 2], np.s_[..., width // 2 :])
    )
    out = np.empty_like(x)
    out[first] = x[first] * cos - x[second] * sin
    out[second] = x[second] * cos + x[first] * sin
    return out


def palm_logits(config: Config, tensors: dict[str, Array], ids: list[int]) -> Array:
    """Logits of the last position, in the tensors' own precision.

    Section 2 of the paper: parallel layers y = x + MLP(LN(x)) + Attention(LN(x)),
    SwiGLU, multi-query attention, RoPE, shared embeddings, no biases; section 5:
    logits scaled by 1/sqrt(hidden_size).
    """
    heads, width = config["num_attention_heads"], config["head_dim"]
    eps, theta = config["layer_norm_epsilon"], config["rope_theta"]
    interleaved = config["rope_interleaved"]
    kv_heads = config.get("num_key_value_heads", 1)
    embedding = tensors["model.embed_tokens.weight"]
    x = embedding[np.array(ids)]
    time = len(ids)
    future = np.triu(np.ones((time, time), dtype=bool), 1)

    def split(projected: Array, count: int) -> Array:
        return projected.reshape(time, count, width).transpose(1, 0, 2)

    for layer in range(config["num_hidden_layers"]):
        w = {
            part: tensors[f"model.layers.{layer}.{part}.weight"]
            for part in (
                "input_layernorm",
                "self_attn.q_proj",
                "self_attn.k_proj",
                "self_attn.v_proj",
                "self_attn.o_proj",
                "mlp.gate_proj",
                "mlp.up_proj",
                "mlp.down_proj",
            )
        }
        y = layer_norm(x, w["input_layernorm"], eps)

        query = rotate(split(y @ w["self_attn.q_proj"].T, heads), theta, interleaved)
        key = rotate(split(y @ w["self_attn.k_proj"].T, kv_heads), theta, interleaved)
        value = split(y @ w["self_attn.v_proj"].T, kv_heads)
        key, value = (np.repeat(part, heads // kv_heads, axis=0) for part in (key, value))
        scores = query @ key.transpose(0, 2, 1) / x.dtype.type(math.sqrt(width))
        scores = np.where(future, x.dtype.type(-np.inf), scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).transpose(1, 0, 2).reshape(time, heads * width)

        gate = y @ w["mlp.gate_proj"].T
        swish = gate / (1 + np.exp(-gate))
        x = x + (swish * (y @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T + mixed @ w["self_attn.o_proj"].T

    last = layer_norm(x[-1], tensors["model.norm.weight"], eps)
    return (embedding @ last) / x.dtype.type(math.sqrt(config["hidden_size"]))


def palm_by_cohere(config: Config, tensors: dict[str, Array], ids: list[int]) -> Array:
    """The same logits from transformers' Cohere model, as a second opinion.

    Cohere also has parallel blocks, one bias-less LayerNorm, SwiGLU, tied
    embeddings and scaled logits.  It rotates the pairs (2j, 2j+1), so the rows of
    every query and key head are re-ordered first.
    """
    width = config["head_dim"]
    order = np.arange(width).reshape(2, width // 2).T.reshape(-1)  # 0, d/2, 1, d/2 + 1, ...

    def reorder(weight: Array) -> Array:
        return weight.reshape(-1, width, weight.shape[1])[:, order].reshape(weight.shape)

    state = {
        name: torch.from_numpy(
            np.ascontiguousarray(reorder(value) if ("q_proj" in name or "k_proj" in name) else value)
        )
        for name, value in tensors.items()
    }
    model = transformers.CohereForCausalLM(
        transformers.CohereConfig(
            **{
                key: config[key]
                for key in (
                    "hidden_size",
                    "intermediate_size",
                    "num_hidden_layers",
                    "num_attention_heads",
                    "head_dim",
                    "vocab_size",
                    "max_position_embeddings",
                    "rope_theta",
                )
            },
            num_key_value_heads=config.get("num_key_value_heads", 1),
            layer_norm_eps=config["layer_norm_epsilon"],
            logit_scale=config["hidden_size"] ** -0.5,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            attn_implementation="eager",
        )
    ).eval()
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["lm_head.weight"] and not result.unexpected_keys, result
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0, -1].numpy()
