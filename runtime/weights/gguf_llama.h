// How GGUF's "llama" architecture says what Hugging Face's LlamaForCausalLM says: tensor names,
// config.json, and the order of q's and k's rows.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/formats/gguf_file.h"

namespace octet {

// config.json's equivalent. Throws InputError: another architecture, or a key that is missing or
// absurd.
nlohmann::json gguf_config(const GgufFile& file);

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". nullopt: not a name of this
// architecture.
std::optional<std::string> gguf_to_hf_name(std::string_view name);

// Tensors that repeat what the metadata say, or only some of llama.cpp's kernels want
// ("rope_freqs.weight").
bool gguf_is_ignored(std::string_view name);

// GGUF keeps the rows of a q or k head in the order in which neighbours rotate together (0, d/2, 1,
// d/2 + 1, ...). 0: not a tensor of that kind; else how many heads its rows are.
struct GgufHeads {
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
};
GgufHeads gguf_heads(const GgufFile& file);
int64_t gguf_permuted_heads(std::string_view hf_name, const GgufHeads& heads);

// The row of the GGUF tensor that is Hugging Face's row `row`, in heads of head_dim (even) rows.
int64_t gguf_row(int64_t row, int64_t head_dim);

}  // namespace octet
