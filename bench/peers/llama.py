"""llama.cpp through llama-cpp-python's low-level calls, after llama-bench and llama-batched-bench: no sampling.

    llama.py GGUF --threads N --prompt 512 --batch 1,8 --context 64 --tokens 16 --runs 5     one JSON object a line
    llama.py GGUF --threads N --start                                                        from nothing to a first token
"""
import argparse
import ctypes
import json
import time

import llama_cpp as lc


class Batch:
    def __init__(self, room):
        self.raw = lc.llama_batch_init(room, 0, 1)

    def fill(self, tokens):
        """tokens: (id, position, sequence, wants logits)"""
        self.raw.n_tokens = len(tokens)
        for i, (token, position, sequence, logits) in enumerate(tokens):
            self.raw.token[i] = token
            self.raw.pos[i] = position
            self.raw.n_seq_id[i] = 1
            self.raw.seq_id[i][0] = sequence
            self.raw.logits[i] = logits
        return self.raw


def decode(context, batch):
    status = lc.llama_decode(context, batch)
    if status != 0:
        raise SystemExit(f"llama_decode: {status}")
    lc.llama_synchronize(context)


def make_context(model, args, sequences, length):
    params = lc.llama_context_default_params()
    params.n_ctx = sequences * length
    params.n_batch = params.n_ubatch = max(512, args.prompt, args.context)
    params.n_seq_max = sequences
    params.n_threads = params.n_threads_batch = args.threads
    context = lc.llama_init_from_model(model, params)
    if not context:
        raise SystemExit("llama_init_from_model failed")
    return context


def prompt_of(length, sequence=0):
    return [((sequence * 131 + i * 17) % 1000 + 5, i, sequence, i == length - 1) for i in range(length)]


def time_prefill(model, args):
    context, batch = make_context(model, args, 1, args.prompt + 1), Batch(args.prompt)
    memory = lc.llama_get_memory(context)
    seconds = []
    for _ in range(args.runs + 1):
        lc.llama_memory_clear(memory, True)
        tokens = batch.fill(prompt_of(args.prompt))
        start = time.perf_counter()
        decode(context, tokens)
        seconds.append(time.perf_counter() - start)
    lc.llama_free(context)
    return seconds[1:]


def time_decode(model, args, sequences):
    room = max(args.context, sequences)
    context, batch = make_context(model, args, sequences, args.context + args.tokens + 1), Batch(room)
    memory = lc.llama_get_memory(context)
    seconds = []
    for _ in range(args.runs + 1):
        lc.llama_memory_clear(memory, True)
        for sequence in range(sequences):
            decode(context, batch.fill(prompt_of(args.context, sequence)))
        start = time.perf_counter()
        for step in range(args.tokens):
            decode(context, batch.fill([(step * 13 + s + 5, args.context + step, s, True) for s in range(sequences)]))
        seconds.append((time.perf_counter() - start) / args.tokens)
    lc.llama_free(context)
    return seconds[1:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--batch", default="1,4,8,16,32")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--start", action="store_true")
    args = parser.parse_args()
    quiet = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(quiet, ctypes.c_void_p(0))
    begun = time.perf_counter()
    lc.llama_backend_init()
    model = lc.llama_model_load_from_file(args.gguf.encode(), lc.llama_model_default_params())
    if not model:
        raise SystemExit(f"{args.gguf}: not loaded")
    if args.start:
        decode(make_context(model, args, 1, 128), Batch(16).fill(prompt_of(8)))
        print(json.dumps({"what": "start", "seconds": [time.perf_counter() - begun]}))
        return
    if args.prompt:
        print(json.dumps({"what": f"prefill {args.prompt}", "tokens": args.prompt, "seconds": time_prefill(model, args)}),
              flush=True)
    for sequences in [int(b) for b in args.batch.split(",") if b]:
        print(json.dumps({"what": f"decode batch:{sequences}", "tokens": sequences,
                          "seconds": time_decode(model, args, sequences)}), flush=True)


if __name__ == "__main__":
    main()
