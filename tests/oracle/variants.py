"""The models: configurations, seeds that passed, settings that must matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One model: its configuration, a seed that passed, and settings that must matter."""

    name: str
    seed: int
    config: Config
    ablations: tuple[Config, ...] = ()  # overrides under which the same tensors still fit
    special: dict[str, tuple[float, float]] = field(default_factory=dict)  # suffix: (scale, offset)
    attention: str = "eager"
    note: str = ""


# Found by --search: the first seed with margins above WANTED_MARGIN and varied continuations.
SEEDS: dict[str, int] = {
    "gpt2": 47,
    "gpt2_odd": 9,
    "opt": 52,
    "opt_350m": 35,
    "bloom": 4,
    "llama": 27,
    "llama3": 25,
    "llama_linear": 7,
    "llama_bias": 4,
    "mistral": 6,
    "qwen2": 3,
    "qwen3": 3,
    "gpt_neox": 3,
    "gpt_neox_seq": 111,
    "gptj": 5,
    "falcon_7b": 8,
    "falcon_40b": 10,
    "falcon_rw": 213,
    "palm": 20,
    "palm_multihead": 4,
    "stablelm": 6,
    "stablelm_parallel": 3,
    "phi": 47,
}


FALCON_ALIBI_NOTE = (
    "Computed with attn_implementation=sdpa. With eager attention transformers (at least 4.46 to 5.24) "
    "folds alibi/sqrt(head_dim) into the causal mask and adds alibi in the attention layer too, so the "
    "bias counts twice. The sdpa path counts it once, softmax((q.k + alibi)/sqrt(head_dim) + mask), and "
    "equals transformers 4.35, from before the mask was shared."
)


# fmt: off
def variants() -> Iterator[Variant]:
    """All variants, in the order asked for; ids 1 and 2 are bos and eos throughout."""
    ids: Config = {"torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2}
    tied, untied = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}

    gpt2 = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 128,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False, **ids, **tied,
    }
    gpt2_ablations = ({"activation_function": "gelu"}, {"activation_function": "relu"})
    yield Variant(
        "gpt2", SEEDS["gpt2"],
        {**gpt2, "n_embd": 48, "n_head": 6, "n_layer": 3, "n_inner": None, "vocab_size": 101},
        gpt2_ablations,
    )
    yield Variant(
        "gpt2_odd", SEEDS["gpt2_odd"],
        {**gpt2, "n_embd": 55, "n_head": 5, "n_layer": 2, "n_inner": 137, "vocab_size": 97},
        gpt2_ablations,
    )

    opt = {
        "model_type": "opt", "architectures": ["OPTForCausalLM"], "activation_function": "relu",
        "max_position_embeddings": 128, "enable_bias": True, "layer_norm_elementwise_affine": True,
        "_remove_final_layer_norm": False, "pad_token_id": 0, **ids, **tied,
    }
    yield Variant(
        "opt", SEEDS["opt"],
        {
            **opt, "hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 3, "ffn_dim": 192,
            "word_embed_proj_dim": 48, "do_layer_norm_before": True, "vocab_size": 103,
        },
        ({"activation_function": "gelu"},),
    )
    yield Variant(
        "opt_350m", SEEDS["opt_350m"],
        {
            **opt, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "ffn_dim": 160,
            "word_embed_proj_dim": 40, "do_layer_norm_before": False, "vocab_size": 107,
        },
        ({"activation_function": "gelu"},),
    )

    yield Variant(
        "bloom", SEEDS["bloom"],
        {
            "model_type": "bloom", "architectures": ["BloomForCausalLM"], "hidden_size": 72,
            "n_head": 6, "n_layer": 2, "layer_norm_epsilon": 1e-5, "vocab_size": 109,
            "apply_residual_connection_post_layernorm": False, "pretraining_tp": 1,
            "slow_but_exact": False, **ids, **tied,
        },
        ({"n_head": 8},),
    )

    llama = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
        "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False,
        "mlp_bias": False, "pretraining_tp": 1, **ids, **untied,
    }
    theta = ({"rope_theta": 500.0},)
    yield Variant(
        "llama", SEEDS["llama"],
        {**llama, "hidden_size": 48, "intermediate_size": 88, "num_hidden_layers": 3, "vocab_size": 113},
        theta,
    )
    # head_dim 16 and theta 500: the wavelengths 6.3, 13.7, 29.7, 64.6, ... meet the bounds
    # 32/4 and 32/1 so that one pair is kept, two are blended and five are divided by 8.
    yield Variant(
        "llama3", SEEDS["llama3"],
        {
            **llama, "hidden_size": 96, "intermediate_size": 120, "num_hidden_layers": 2,
            "vocab_size": 127, "rope_theta": 500.0,
            "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
        (
            {"rope_scaling": None}, {"rope_scaling": {"rope_type": "linear", "factor": 8.0}},
            {
                "rope_scaling": {
                    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 1.001,  # hardly any blended band
                    "original_max_position_embeddings": 32,
                }
            },
        ),
    )
    yield Variant(
        "llama_linear", SEEDS["llama_linear"],
        {
            **llama, "hidden_size": 72, "intermediate_size": 104, "num_hidden_layers": 2,
            "vocab_size": 99, "rope_scaling": {"type": "linear", "factor": 2.0},
        },
        ({"rope_scaling": None},),
    )
    yield Variant(
        "llama_bias", SEEDS["llama_bias"],
        {
            **llama, "hidden_size": 60, "intermediate_size": 92, "num_hidden_layers": 2,
            "vocab_size": 105, "attention_bias": True, "mlp_bias": True,
        },
        theta,
    )

    yield Variant(
        "mistral", SEEDS["mistral"],
        {
            "model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_act": "silu",
            "hidden_size": 48, "intermediate_size": 104, "num_hidden_layers": 3,
            "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 111,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "sliding_window": 8, **ids, **untied,
        },
        ({"sliding_window": None}, {"sliding_window": 7}, {"sliding_window": 9}),
    )
    # sliding_window is present but switched off, as in the published Qwen2 files.
    yield Variant(
        "qwen2", SEEDS["qwen2"],
        {
            "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
            "hidden_size": 72, "intermediate_size": 116, "num_hidden_layers": 2,
            "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 115,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "sliding_window": 8, "use_sliding_window": False, "max_window_layers": 0, **ids, **untied,
        },
        (*theta, {"use_sliding_window": True}),
    )
    yield Variant(
        "qwen3", SEEDS["qwen3"],
        {
            "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_act": "silu",
            "hidden_size": 48, "intermediate_size": 112, "num_hidden_layers": 3,
            "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 117,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "rope_scaling": None, "attention_bias": False, "sliding_window": None,
            "use_sliding_window": False, "max_window_layers": 3, **ids, **tied,
        },
        theta,
    )

    neox = {
        "model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu",
        "layer_norm_eps": 1e-5, "max_position_embeddings": 128, "rotary_emb_base": 10000,
        "attention_bias": True, **ids, **untied,
    }
    yield Variant(
        "gpt_neox", SEEDS["gpt_neox"],
        {
            **neox, "hidden_size": 96, "intermediate_size": 224, "num_attention_heads": 6,
            "num_hidden_layers": 2, "vocab_size": 119, "rotary_pct": 0.25,
            "use_parallel_residual": True,
        },
        ({"rotary_pct": 1.0}, {"use_parallel_residual": False}, {"hidden_act": "gelu_new"}),
    )
    yield Variant(
        "gpt_neox_seq", SEEDS["gpt_neox_seq"],
        {
            **neox, "hidden_size": 60, "intermediate_size": 144, "num_attention_heads": 5,
            "num_hidden_layers": 3, "vocab_size": 121, "rotary_pct": 1.0,
            "use_parallel_residual": False,
        },
        ({"rotary_pct": 0.5}, {"use_parallel_residual": True}, {"hidden_act": "gelu_new"}),
    )

    yield Variant(
        "gptj", SEEDS["gptj"],
        {
            "model_type": "gptj", "architectures": ["GPTJForCausalLM"], "n_embd": 80, "n_head": 5,
            "n_layer": 2, "n_inner": None, "n_positions": 128, "rotary_dim": 8,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "vocab_size": 123, **ids,
            **untied,
        },
        ({"rotary_dim": 16}, {"activation_function": "gelu"}),
    )

    falcon = {
        "model_type": "falcon", "architectures": ["FalconForCausalLM"], "activation": "gelu",
        "layer_norm_epsilon": 1e-5, "max_position_embeddings": 128, "rope_theta": 10000.0,
        "rope_scaling": None, **ids, **tied,
    }
    # num_kv_heads is written as save_pretrained writes it for such a model: it is not
    # consulted, multi_query alone decides that there is one key/value head.
    yield Variant(
        "falcon_7b", SEEDS["falcon_7b"],
        {
            **falcon, "hidden_size": 56, "ffn_hidden_size": 224, "num_attention_heads": 7,
            "num_kv_heads": 7, "num_hidden_layers": 2, "vocab_size": 125, "alibi": False, "bias": False,
            "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False,
        },
        (*theta, {"alibi": True}, {"activation": "gelu_new"}),
    )
    yield Variant(
        "falcon_40b", SEEDS["falcon_40b"],
        {
            **falcon, "hidden_size": 64, "ffn_hidden_size": 256, "num_attention_heads": 8,
            "num_kv_heads": 2, "num_hidden_layers": 2, "vocab_size": 127, "alibi": False, "bias": False,
            "multi_query": True, "parallel_attn": True, "new_decoder_architecture": True,
        },
        (*theta, {"activation": "gelu_new"}),
    )
    yield Variant(
        "falcon_rw", SEEDS["falcon_rw"],
        {
            **falcon, "hidden_size": 64, "ffn_hidden_size": 256, "num_attention_heads": 8,
            "num_kv_heads": 8, "num_hidden_layers": 2, "vocab_size": 129, "alibi": True, "bias": True,
            "multi_query": False, "parallel_attn": False, "new_decoder_architecture": False,
        },
        ({"alibi": False}, {"activation": "gelu_new"}), attention="sdpa", note=FALCON_ALIBI_NOTE,
    )

    palm = {
        "model_type": "palm", "hidden_act": "silu", "max_position_embeddings": 128,
        "layer_norm_epsilon": 1e-6, "rope_theta": 10000.0, "rope_interleaved": False, **ids, **tied,
    }
    # The 1/sqrt(hidden) on the logits is undone by wide embeddings and a wide last norm.
    palm_special = {"embed_tokens.weight": (1.0, 0.0), "model.norm.weight": (6.0, 0.0)}
    yield Variant(
        "palm", SEEDS["palm"],
        {
            **palm, "hidden_size": 72, "intermediate_size": 136, "num_hidden_layers": 3,
            "num_attention_heads": 5, "head_dim": 16, "vocab_size": 131,
        },
        (*theta, {"rope_interleaved": True}, {"layer_norm_epsilon": 1e-2}), palm_special,
    )
    yield Variant(
        "palm_multihead", SEEDS["palm_multihead"],
        {
            **palm, "hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 12, "vocab_size": 97,
        },
        (*theta, {"rope_interleaved": True}, {"layer_norm_epsilon": 1e-2}), palm_special,
    )

    stablelm = {
        "model_type": "stablelm", "architectures": ["StableLmForCausalLM"], "hidden_act": "silu",
        "hidden_size": 96, "intermediate_size": 132, "num_hidden_layers": 2,
        "num_attention_heads": 6, "num_key_value_heads": 6, "vocab_size": 103,
        "max_position_embeddings": 128, "layer_norm_eps": 1e-5, "rope_theta": 10000.0,
        "rope_scaling": None, "partial_rotary_factor": 0.25, "use_qkv_bias": True,
        "qk_layernorm": False, "use_parallel_residual": False, **ids, **untied,
    }
    yield Variant("stablelm", SEEDS["stablelm"], stablelm, ({"partial_rotary_factor": 1.0},))
    yield Variant(
        "stablelm_parallel", SEEDS["stablelm_parallel"],
        {
            **stablelm, "hidden_size": 72, "intermediate_size": 116, "num_hidden_layers": 3,
            "num_key_value_heads": 2, "vocab_size": 109, "partial_rotary_factor": 0.5,
            "use_qkv_bias": False, "use_parallel_residual": True, **tied,
        },
        ({"partial_rotary_factor": 1.0}, {"layer_norm_eps": 1e-2}),
    )
    yield Variant(
        "phi", SEEDS["phi"],
        {
            "model_type": "phi", "architectures": ["PhiForCausalLM"], "hidden_act": "gelu_new",
            "hidden_size": 80, "intermediate_size": 200, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 107,
            "max_position_embeddings": 128, "layer_norm_eps": 1e-5, "rope_theta": 10000.0,
            "rope_scaling": None, "partial_rotary_factor": 0.4, "qk_layernorm": False, **ids, **untied,
        },
        ({"partial_rotary_factor": 1.0}, {"hidden_act": "gelu"}),
    )
# fmt: on
