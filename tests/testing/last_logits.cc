#include "tests/testing/last_logits.h"

#include <algorithm>

#include "runtime/engine/engine.h"
#include "runtime/engine/ledger.h"

namespace octet::testing {

LastLogits::LastLogits(const std::filesystem::path& model)
    : files_(open_model({.path = model})),
      partition_(files_.args),
      options_(resolve_options(
          {.model = model,
           .quantization = "none",
           .max_model_len = std::min(kMaxTokens, files_.args.max_position_embeddings),
           .max_num_seqs = 1},
          files_.args, false, 1, 1)),
      communicator_(std::move(make_thread_communicators(1, comm_options(options_, 1))[0])),
      worker_(options_, *files_.checkpoint, files_.args, partition_, *communicator_) {}

std::vector<float> LastLogits::of(const std::vector<int32_t>& ids) {
  ModelInput input;
  input.token_ids = ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    input.positions.push_back(static_cast<int32_t>(i));
    input.slot_mapping.push_back(static_cast<int32_t>(i));
  }
  input.cu_seqlens = {0, static_cast<int32_t>(ids.size())};
  input.context_lens = {static_cast<int32_t>(ids.size())};
  input.max_blocks = (options_.max_model_len + options_.block_size - 1) / options_.block_size;
  for (int block = 0; block < input.max_blocks; ++block) input.block_tables.push_back(block);
  input.sampled_rows = {static_cast<int32_t>(ids.size()) - 1};
  std::vector<int32_t> words;
  input.encode(words);
  std::vector<float> logits;
  worker_.step(std::as_bytes(std::span(words)),
               [&](int, std::span<const float> row) { logits.assign(row.begin(), row.end()); });
  return logits;
}

}  // namespace octet::testing
