#!/usr/bin/env python3
"""The models of tests/models/families as GGUF files, and llama.cpp's opinion of them.

    make_gguf.py OUT_FOLDER [NAME ...] [--run]

writes OUT_FOLDER/NAME.gguf (fp32) for every family that llama.cpp has.  Names of
tensors are those of the `gguf` package (gguf.tensor_mapping), keys are written by
its GGUFWriter, and values are converted as llama.cpp's convert_hf_to_gguf.py does.
With --run llama.cpp (package llama-cpp-python) loads each file and decodes 64 ids
greedily behind each prompt: they must be those of the Hugging Face model.  It
looks up GELU in a table of fp16, so logits agree to three digits only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from weights import Recipe, tensor_values

Array = npt.NDArray[np.float32]
FAMILIES = Path(__file__).parent.parent / "models" / "families"
ARCHITECTURES = {
    "bloom": gguf.MODEL_ARCH.BLOOM,
    "falcon": gguf.MODEL_ARCH.FALCON,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}


class Model:
    """One family's JSON, its sizes under one name each."""

    def __init__(self, name: str) -> None:
        self.content: dict[str, Any] = json.loads((FAMILIES / f"{name}.json").read_text())
        self.config: dict[str, Any] = self.content["config"]
        self.type: str = self.config["model_type"]
        self.hidden = self.first("hidden_size", "n_embd")
        self.layers = self.first("num_hidden_layers", "n_layer")
        self.heads = self.first("num_attention_heads", "n_head")
        self.head_dim = self.first("head_dim") or self.hidden // self.heads
        self.kv_heads = self.first("num_key_value_heads") or self.heads
        if self.type == "falcon":
            self.kv_heads = self.config["num_kv_heads"] if self.config["new_decoder_architecture"] else 1

    def first(self, *names: str) -> Any:
        """The first of these fields that is there and not null."""
        return next((self.config[name] for name in names if self.config.get(name) is not None), None)

    def is_convertible(self) -> bool:
        return self.type in ARCHITECTURES and not self.config.get("alibi")

    def is_windowed(self) -> bool:
        """llama.cpp has no window for this architecture, and its converter writes none."""
        return self.type == "mistral"

    def tensors(self) -> dict[str, Array]:
        return {
            name: tensor_values(name, Recipe(tuple(t["shape"]), t["scale"], t["offset"]), self.content["seed"])
            for name, t in self.content["tensors"].items()
        }


def split_fused(model: Model, value: Array) -> Array:
    """All of q, then k, then v, from groups of a KV head with its query heads."""
    groups = value.reshape(model.kv_heads, model.heads // model.kv_heads + 2, model.head_dim, -1)
    parts = (groups[:, :-2], groups[:, -2], groups[:, -1])
    return np.concatenate([part.reshape(-1, groups.shape[-1]) for part in parts]).reshape(value.shape)


def permute(value: Array, heads: int) -> Array:
    """LLaMA's q and k: pairs that rotate together become neighbours."""
    halves = value.reshape(heads, 2, value.shape[0] // heads // 2, *value.shape[1:])
    return halves.swapaxes(1, 2).reshape(value.shape)


def converted(model: Model, name: str, value: Array) -> Array:
    if model.type == "gpt2":
        conv1d = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        return np.ascontiguousarray(value.T) if conv1d else value
    if "query_key_value" in name:
        return split_fused(model, value)
    if model.type in ("llama", "mistral") and ".q_proj." in name:
        return permute(value, model.heads)
    if model.type in ("llama", "mistral") and ".k_proj." in name:
        return permute(value, model.kv_heads)
    return value


def rope_factors(model: Model, scaling: dict[str, Any]) -> Array:
    """What Llama 3 divides the frequencies by."""
    low, high, context = (
        scaling[key] for key in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    factors = []
    for i in range(0, model.head_dim, 2):
        wave = 2 * math.pi * model.config["rope_theta"] ** (i / model.head_dim)
        smooth = min(max((context / wave - low) / (high - low), 0), 1)
        factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return np.array(factors, np.float32)


def add_keys(writer: gguf.GGUFWriter, model: Model) -> None:
    config = model.config
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(model.first("max_position_embeddings", "n_positions", "seq_length") or 2048)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(
        model.first("intermediate_size", "n_inner", "ffn_hidden_size") or 4 * model.hidden
    )
    writer.add_head_count(model.heads)
    if model.type not in ("gpt2", "gpt_neox"):
        writer.add_head_count_kv(model.kv_heads)
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        writer.add_layer_norm_eps(model.first("layer_norm_epsilon", "layer_norm_eps"))
    if "head_dim" in config:
        writer.add_key_length(model.head_dim)
        writer.add_value_length(model.head_dim)
    if model.type == "gpt_neox":
        writer.add_rope_dimension_count(int(config["rotary_pct"] * model.head_dim))
        writer.add_parallel_residual(config["use_parallel_residual"])
    if "rope_theta" in config:
        writer.add_rope_freq_base(config["rope_theta"])
    if model.type == "mistral":
        writer.add_sliding_window(config["sliding_window"])
    scaling = config.get("rope_scaling") or {}
    if scaling.get("type", scaling.get("rope_type")) == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    elif scaling:
        writer.add_tensor("rope_freqs.weight", rope_factors(model, scaling))


def write(model: Model, path: Path) -> None:
    architecture = ARCHITECTURES[model.type]
    names = gguf.get_tensor_name_map(architecture, model.layers)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    add_keys(writer, model)
    for name, value in model.tensors().items():
        # The converter drops BLOOM's prefix.
        known = name.removeprefix("transformer.") if model.type == "bloom" else name
        new_name = names.get_name(known, try_suffixes=(".weight", ".bias"))
        assert new_name is not None, name
        writer.add_tensor(new_name, converted(model, name, value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def greedy(llama: Any, prompt: list[int], count: int) -> tuple[list[int], Array]:
    """Ids behind the prompt and the logits at its end."""
    llama.reset()
    llama.eval(prompt)
    first = np.array(llama.scores[len(prompt) - 1], np.float32)
    ids: list[int] = []
    while len(ids) < count:
        ids.append(int(np.argmax(llama.scores[llama.n_tokens - 1])))
        if len(ids) < count:
            llama.eval(ids[-1:])
    return ids, first


def run(model: Model, path: Path) -> bool:
    """True: llama.cpp continues every prompt as the Hugging Face model does."""
    import llama_cpp

    llama = llama_cpp.Llama(
        str(path), n_ctx=256, n_batch=256, n_threads=1, logits_all=True, verbose=False, flash_attn=False,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
    )  # fmt: skip
    equal, worst = [], 0.0
    for prompt, wanted, logits in zip(*(model.content[key] for key in ("prompts", "greedy", "logits")), strict=True):
        ids, first = greedy(llama, prompt, len(wanted))
        equal.append(next((i for i, (a, b) in enumerate(zip(ids, wanted, strict=True)) if a != b), len(wanted)))
        worst = max(worst, float(np.abs(first - np.array(logits)).max()))
    print(f"  llama.cpp: equal ids {equal} of {len(wanted)}; largest difference of logits {worst:.2g}")
    return all(count == len(wanted) for count in equal)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the GGUF files")
    parser.add_argument("names", nargs="*", help="families; all that can be converted by default")
    parser.add_argument("--run", action="store_true", help="let llama.cpp decode them")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name in options.names or sorted(path.stem for path in FAMILIES.glob("*.json")):
        model = Model(name)
        if not model.is_convertible():
            continue
        path = options.out / f"{name}.gguf"
        write(model, path)
        print(path, flush=True)
        if options.run and not model.is_windowed():
            failures += not run(model, path)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
