"""Models as transformers publishes, loads and runs them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from safetensors.numpy import load_file, save_file

from palm import palm_shapes
from variants import Config
from weights import NEW_TOKENS

Array = npt.NDArray[Any]
Forward = Callable[[list[int]], Array]  # ids -> logits of the last position


def published_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes that save_pretrained publishes for this configuration."""
    if config["model_type"] == "palm":
        return palm_shapes(config)
    with tempfile.TemporaryDirectory() as folder:
        model = transformers.AutoModelForCausalLM.from_config(hf_config(config))
        model.save_pretrained(folder)
        return {name: value.shape for name, value in load_file(f"{folder}/model.safetensors").items()}


def hf_config(config: Config) -> transformers.PreTrainedConfig:
    """The configuration object that from_pretrained would make of config.json."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        return transformers.AutoConfig.from_pretrained(folder)


def load_model(config: Config, tensors: dict[str, Array], attention: str = "eager") -> transformers.PreTrainedModel:
    """A float32 eval model loaded the way a user would load a published folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=attention, output_loading_info=True
        )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info.get(problem), (problem, info[problem])
    assert model.config._attn_implementation == attention
    return model.eval()


def check_round_trip(model: transformers.PreTrainedModel, tensors: dict[str, Array]) -> None:
    """What the model would publish is exactly what was generated: nothing more, less or altered."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = load_file(f"{folder}/model.safetensors")
    assert saved.keys() == tensors.keys(), saved.keys() ^ tensors.keys()
    for name, value in tensors.items():
        assert saved[name].dtype == np.float32 and np.array_equal(saved[name], value), name
    # No trainable parameter outside those, under any name: each one's storage is a saved tensor's.
    by_bytes = {value.tobytes() for value in tensors.values()}
    for name, parameter in model.named_parameters():
        assert parameter.detach().contiguous().numpy().tobytes() in by_bytes, name


def hf_forward(model: transformers.PreTrainedModel) -> Forward:
    """Full forward without a cache."""

    def forward(ids: list[int]) -> Array:
        batch = torch.tensor([ids])
        with torch.no_grad():
            out = model(batch, attention_mask=torch.ones_like(batch), use_cache=False)
        return out.logits[0, -1].numpy().copy()

    return forward


def hf_generate(model: transformers.PreTrainedModel, prompt: list[int]) -> list[int]:
    """Greedy ids by generate(), that is, with transformers' own cache."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    batch = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(batch, attention_mask=torch.ones_like(batch), do_sample=False, max_new_tokens=NEW_TOKENS)
    return out[0, len(prompt) :].tolist()


UNIMPORTANT = (
    "dropout",
    "pdrop",
    "initializer",
    "init_std",
    "summary_",
    "layerdrop",
    "use_cache",
    "is_decoder",
    "transformers_version",
    "pad_token_id",
    "reorder_and_upcast",
    "add_cross",
)


def trimmed_v5(model: transformers.PreTrainedModel) -> Config:
    """config.json as transformers 5 writes it, less what cannot touch inference."""
    full = json.loads(model.config.to_json_string(use_diff=False))
    known = json.loads(model.config.to_json_string(use_diff=True)).keys()
    return {
        key: value
        for key, value in full.items()
        if not any(part in key for part in UNIMPORTANT)
        and (value is not None or key in ("n_inner", "sliding_window"))
        and (key in known or key in type(model.config).__dataclass_fields__)
        and key not in PRETRAINED_CONFIG_NOISE
    }


PRETRAINED_CONFIG_NOISE = frozenset(
    {
        "_name_or_path",
        "chunk_size_feed_forward",
        "id2label",
        "is_encoder_decoder",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
    }
)
