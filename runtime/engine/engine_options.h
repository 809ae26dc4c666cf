// What a worker group is started with; the flags of `octet serve`, `worker` and `generate`. Plain
// data.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "kernels/backend.h"

namespace octet {

struct EngineOptions {
  std::filesystem::path model;       // artefact folder, Hugging Face folder, or GGUF file
  std::string load_format = "auto";  // "auto" | "dummy": random weights; model may be a preset
  std::string head = "keep";         // "keep" | "int8": of dummy weights
  int num_hidden_layers = 0;         // run the first so many; 0: all
  bool mmap = true;  // weights stay in an artefact's files where they can: nothing is copied
  // How int8 weights are used: "llm-int8" | "w8a8" | "w8a16" (see Int8Product) | "none": as fp32 |
  // "auto": llm-int8 where the checkpoint has int8 weights, else none.
  std::string quantization = "auto";
  float outlier_threshold = kOutlierThreshold;  // llm-int8
  // "auto": bfloat16 for int8 weights, float32 for none | "float32" | "bfloat16" | "int8".
  std::string kv_cache_dtype = "auto";
  int max_model_len = 0;             // 0: the model's max_position_embeddings
  int max_num_seqs = 64;             // sequences in one step
  int max_num_batched_tokens = 512;  // tokens in one step; longer prompts are taken in chunks; no
                                     // more than max_num_seqs full sequences have
  bool enable_chunked_prefill =
      true;  // off: a prompt is taken whole, max_num_batched_tokens grows to max_model_len
  bool enable_prefix_caching = false;  // on: beginnings that prompts share are computed once
  int block_size = 16;                 // tokens in a KV block
  int64_t kv_cache_memory = 0;  // bytes of KV cache on each rank; 0: room for max_num_seqs full
                                // sequences, at most 4 GiB or a quarter of what is free on the host
  std::string device = "auto", isa = "auto";
  int threads = 0;        // of this rank; 0: this host's cores / its ranks
  int local_rank = 0;     // of this rank, among its host's
  int ranks_on_host = 0;  // ranks of the group that share this host's memory; 0: all
  std::string communicator = "auto";
  std::string reduce = "ordered";  // "ordered" | "fast" (see CommOptions)
  bool print_ledger = true;        // at start, on rank 0
  bool warm_up = true;             // a token through everything before the first request
  std::chrono::milliseconds step_timeout{60000};
};

}  // namespace octet
