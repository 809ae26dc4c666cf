#!/usr/bin/env python3
"""What int8 costs in quality: perplexities, task scores, and the same scores by lm-eval.

    export OCTET=build/release/launcher/octet
    bench/quality.py folder MODEL.gguf OUT [--dtype bfloat16]      a llama GGUF's values as a Hugging Face folder
    bench/quality.py outliers IN OUT                               the same function, with outliers in its activations
    bench/quality.py perplexity --text FILE NAME=MODEL:QUANTIZATION ... [-- FLAGS of octet eval perplexity]
    bench/quality.py tasks --task-folder FOLDER --tasks copa,piqa NAME=MODEL:QUANTIZATION ... [-- FLAGS]
    bench/quality.py lm-eval --task-folder FOLDER --tasks copa,piqa OCTETS_MODEL:QUANTIZATION HF_FOLDER [-- FLAGS]

The measurements print a Markdown table whose first configuration is the yardstick. With --keep FOLDER octet's answers are
kept there, and a configuration that has one is not run again. `outliers` multiplies a few elements of every norm before
the attention and the MLP by 20 to 60 and divides the columns that read them. lm-eval asks what octet asks: the file's
first --shots examples are shown, the next --limit asked. Needs numpy and safetensors; lm-eval needs lm_eval and torch.
"""
import argparse
import json
import math
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import time

OCTET = os.environ.get("OCTET", "build/release/launcher/octet")

# ---- GGUF

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def q8_0(raw):
    import numpy as np
    blocks = raw.reshape(-1, 34)
    return blocks[:, :2].copy().view(np.float16).astype(np.float32) * blocks[:, 2:].view(np.int8)


def q4_1(raw):
    import numpy as np
    blocks = raw.reshape(-1, 20)
    scale, least = blocks[:, :4].copy().view(np.float16).astype(np.float32).T[:, :, None]
    return scale * np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1) + least


# Type: elements and bytes of a block, and its values.
TYPES = {0: (1, 4, lambda raw: raw.view("<f4")), 1: (1, 2, lambda raw: raw.view("<f2").astype("<f4")),
         3: (32, 20, q4_1), 8: (32, 34, q8_0)}


def read_gguf(path):
    """The metadata, and the tensors as float32 under their names in the file."""
    import numpy as np
    data = np.fromfile(path, np.uint8)
    at = 0

    def take(form):
        nonlocal at
        value, = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def string():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].tobytes().decode()

    def value(kind):
        if kind == STRING:
            return string()
        if kind == ARRAY:
            kind = take("I")
            return [value(kind) for _ in range(take("Q"))]
        return take(SCALARS[kind])

    if take("I") != 0x46554747 or take("I") not in (2, 3):
        sys.exit(f"{path}: not a GGUF file of version 2 or 3")
    num_tensors, num_keys = take("Q"), take("Q")
    metadata = {string(): value(take("I")) for _ in range(num_keys)}
    infos = [(string(), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(num_tensors)]
    align = metadata.get("general.alignment", 32)
    base = (at + align - 1) // align * align
    tensors = {}
    for name, shape, kind, offset in infos:
        if kind not in TYPES:
            sys.exit(f"{path}: tensor {name} is of type {kind}; known: {sorted(TYPES)}")
        elements, size, values = TYPES[kind]
        raw = data[base + offset:][:math.prod(shape) // elements * size]
        tensors[name] = np.ascontiguousarray(values(raw), np.float32).reshape(shape[::-1])
    return metadata, tensors


def hf_tensor(name, values, heads):
    """A GGUF tensor under its Hugging Face name; the rows of q and k in the order that rotates halves."""
    *layer, name, _ = name.split(".")
    if name in heads:
        values = values.reshape(heads[name], -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
    return (f"model.layers.{layer[1]}." if layer else "") + NAMES[name] + ".weight", values


def tokenizer_json(metadata):
    if (metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        sys.exit("only the smollm byte-level vocabulary is known")
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    return dict(
        version="1.0", truncation=None, padding=None, normalizer=None, post_processor=None, decoder=byte_level,
        added_tokens=[dict(id=i, content=tokens[i], special=True, single_word=False, lstrip=False, rstrip=False,
                           normalized=False) for i, kind in enumerate(types) if kind == 3],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[dict(type="Digits", individual_digits=True), byte_level]),
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                   fuse_unk=False, byte_fallback=False, ignore_merges=False,
                   vocab={token: i for i, token in enumerate(tokens)}, merges=metadata["tokenizer.ggml.merges"]))


def read_model(path):
    """A GGUF file or a folder: the JSON files by name, and the tensors as float32."""
    from safetensors.numpy import load_file
    if os.path.isdir(path):
        files = {}
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            with open(os.path.join(path, name)) as file:
                files[name] = json.load(file)
        return files, load_file(os.path.join(path, "model.safetensors"))
    metadata, tensors = read_gguf(path)
    if metadata.get("tokenizer.ggml.add_bos_token") or metadata.get("tokenizer.ggml.add_eos_token"):
        sys.exit("a vocabulary that adds tokens to a text is not known")
    inspected = subprocess.run([OCTET, "inspect", path, "--json"], capture_output=True, text=True, check=True)
    config = json.loads(inspected.stdout)["config"]
    heads = dict(attn_q=config["num_attention_heads"], attn_k=config["num_key_value_heads"])
    tokens = metadata["tokenizer.ggml.tokens"]
    files = {"config.json": config, "tokenizer.json": tokenizer_json(metadata), "tokenizer_config.json": dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=tokens[config["bos_token_id"]],
        eos_token=tokens[config["eos_token_id"]], clean_up_tokenization_spaces=False)}
    return files, dict(hf_tensor(name, values, heads) for name, values in tensors.items())


def write_folder(files, tensors, dtype, out):
    import safetensors.numpy
    os.makedirs(out)
    files["config.json"]["torch_dtype"] = dtype
    for name, content in files.items():
        with open(os.path.join(out, name), "w") as file:
            json.dump(content, file, indent=2)
    path = os.path.join(out, "model.safetensors")
    if dtype == "float32":
        return safetensors.numpy.save_file(tensors, path, {"format": "pt"})
    import safetensors.torch
    import torch
    safetensors.torch.save_file({name: torch.from_numpy(values).to(torch.bfloat16)
                                 for name, values in tensors.items()}, path, {"format": "pt"})


def folder(args):
    write_folder(*read_model(args.model), args.dtype, args.out)


READERS = {"input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
           "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")}


def outliers(args):
    import numpy as np
    files, tensors = read_model(args.model)
    hidden, layers = files["config.json"]["hidden_size"], files["config.json"]["num_hidden_layers"]
    rng = np.random.default_rng(args.seed)
    chosen = np.sort(rng.choice(hidden, args.dimensions, replace=False))
    factors = np.linspace(args.least, args.most, args.dimensions, dtype=np.float32)
    for layer in range(layers):
        for norm, readers in READERS.items():
            tensors[f"model.layers.{layer}.{norm}.weight"][chosen] *= factors
            for reader in readers:
                tensors[f"model.layers.{layer}.{reader}.weight"][:, chosen] /= factors
    write_folder(files, tensors, "float32", args.out)
    print("dimensions", ", ".join(f"{d} by {f:g}" for d, f in zip(chosen, factors)))


# ---- Measurements


def configuration(text):
    name, _, model = text.rpartition("=")
    model, _, quantization = model.rpartition(":")
    if not model:
        raise argparse.ArgumentTypeError(f"{text} is not [NAME=]MODEL:QUANTIZATION")
    return name or quantization, model, quantization


def octet(args, *flags):
    """The JSON answer of `octet eval FLAGS`, from args.keep where it is there."""
    command = [OCTET, "eval", *flags, *args.flags]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", "_".join(os.path.basename(f.rstrip("/")) for f in command[2:])) + ".json"
    with tempfile.TemporaryDirectory() as scratch:
        kept = os.path.join(args.keep or scratch, name)
        if not os.path.exists(kept):
            start = time.time()
            out = os.path.join(scratch, "out.json")
            subprocess.run([*command, "--out", out], check=True, stdout=subprocess.DEVNULL)
            with open(out) as file:
                answer = json.load(file)
            with open(kept, "w") as file:
                json.dump(dict(answer, seconds=time.time() - start), file)
        with open(kept) as file:
            return json.load(file)


def table(*rows):
    head, *rows = [[str(cell) for cell in row] for row in rows]
    shown = [os.path.basename(word) if os.path.isabs(word.split("=")[-1]) and "=" not in word else
             re.sub(r"=/.*/", "=", word) for word in sys.argv]
    print(f"`{shlex.join(['bench/quality.py', *shown[1:]])}`\n")
    print("\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]), flush=True)


def perplexity(args):
    rows = [["configuration", "perplexity", "against " + args.configurations[0][0], "nll", "tokens", "seconds"]]
    first = None
    for name, model, quantization in args.configurations:
        answer = octet(args, "perplexity", model, "--quantization", quantization, "--text", args.text)
        first = first or answer["perplexity"]
        rows.append([name, f"{answer['perplexity']:.5f}", f"{(answer['perplexity'] / first - 1) * 100:+.3f}%",
                     f"{answer['nll']:.6f}", answer["tokens"], f"{answer['seconds']:.0f}"])
    table(*rows)


def task_flags(args):
    return ["--task-folder", args.task_folder, "--shots", str(args.shots), "--limit", str(args.limit)]


def octet_scores(args, model, quantization):
    return {task: octet(args, "tasks", model, "--quantization", quantization, "--tasks", task,
                        *task_flags(args))["tasks"][task] for task in args.tasks.split(",")}


METRICS = ("acc", "acc_norm", "perplexity")


def tasks(args):
    names = [name for name, _, _ in args.configurations]
    scores = [octet_scores(args, model, quantization) for _, model, quantization in args.configurations]
    rows = [["task", "shots", "examples", "metric", *names, "standard error", "difference in standard errors"]]
    for task, first in scores[0].items():
        for metric in METRICS[:2]:
            if metric not in first:
                continue
            values, error = [s[task][metric] for s in scores], first[metric + "_stderr"]
            rows.append([task, args.shots, first["examples"], metric, *(f"{v:.4f}" for v in values), f"{error:.4f}",
                         ", ".join(f"{(v - values[0]) / error:+.2f}" for v in values[1:])])
    table(*rows)


def lm_eval_task(args, task, scratch):
    """lm-eval's definition of octet's task, over the same lines of the same file."""
    with open(os.path.join(args.task_folder, task + ".jsonl")) as file:
        lines = [line if line.endswith("\n") else line + "\n" for line in file if line.strip()]
    asked = lines[args.shots:][:args.limit or None]
    files = {}
    for split, part in (("test", asked), ("shown", lines[:args.shots] or lines[:1])):
        files[split] = os.path.join(scratch, f"{task}.{split}.jsonl")
        with open(files[split], "w") as file:
            file.writelines(part)
    definition = dict(task="octet_" + task, dataset_path="json", dataset_kwargs=dict(data_files=files),
                      test_split="test", fewshot_split="shown", fewshot_config=dict(sampler="first_n"),
                      num_fewshot=args.shots, target_delimiter=" ", fewshot_delimiter="\n\n")
    if "continuation" in json.loads(lines[0]):  # lm-eval puts no delimiter before a loglikelihood's target
        return dict(definition, output_type="loglikelihood", doc_to_text="{{context}}",
                    doc_to_target=" {{continuation}}", metric_list=[dict(metric="acc"), dict(metric="perplexity")])
    answered = task == "piqa" or task.startswith("arc_")
    return dict(definition, output_type="multiple_choice", doc_to_choice="choices", doc_to_target="gold",
                doc_to_text="{{query}}\nAnswer:" if answered else "{{query}}",
                metric_list=[dict(metric="acc"), dict(metric="acc_norm")])


def lm_eval(args):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    name, model, quantization = args.configuration
    scores = octet_scores(args, model, quantization)
    with tempfile.TemporaryDirectory() as scratch:
        harness = HFLM(pretrained=args.model, dtype="float32", device="cpu", batch_size=args.batch)
        found = lm_eval.simple_evaluate(
            model=harness, tasks=[lm_eval_task(args, task, scratch) for task in scores], bootstrap_iters=0,
            log_samples=bool(args.samples))
    if args.samples:
        with open(args.samples, "w") as file:
            json.dump(found["samples"], file, default=str)
    rows = [["task", "shots", "examples", "metric", "octet", "lm-eval", "difference"]]
    for task, score in scores.items():
        for metric in METRICS:
            if metric in score:
                theirs = found["results"]["octet_" + task][metric + ",none"]
                rows.append([task, args.shots, score["examples"], metric, f"{score[metric]:.6f}", f"{theirs:.6f}",
                             f"{score[metric] - theirs:+.6f}"])
    table(*rows)
    print(f"\nlm-eval {lm_eval.__version__}, float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(function, name, *positionals, **flags):
        sub = commands.add_parser(name)
        sub.set_defaults(run=function)
        for positional, options in positionals:
            sub.add_argument(positional, **options)
        for flag, default in flags.items():
            kind = str if default is None or default is Ellipsis else type(default)
            sub.add_argument("--" + flag.replace("_", "-"), type=kind, required=default is Ellipsis,
                             default=None if default is Ellipsis else default)

    several = ("configurations", dict(nargs="+", type=configuration))
    asked = dict(task_folder=..., tasks=..., shots=0, limit=0, keep=None)
    command(folder, "folder", ("model", {}), ("out", {}), dtype="float32")
    command(outliers, "outliers", ("model", {}), ("out", {}), dimensions=6, least=20.0, most=60.0, seed=0)
    command(perplexity, "perplexity", several, text=..., keep=None)
    command(tasks, "tasks", several, **asked)
    command(lm_eval, "lm-eval", ("configuration", dict(type=configuration)), ("model", {}), batch=16, samples=None,
            **asked)
    ours, _, flags = " ".join(map(shlex.quote, sys.argv[1:])).partition(" -- ")
    args = parser.parse_args(shlex.split(ours))
    args.flags = shlex.split(flags)
    args.run(args)


if __name__ == "__main__":
    main()
