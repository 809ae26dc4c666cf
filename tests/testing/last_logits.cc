#include "tests/testing/last_logits.h"

#include <algorithm>

#include "runtime/engine/engine.h"

namespace octet::testing {

LastLogits::LastLogits(const std::filesystem::path& model)
    : plan_({.model = model,
             .quantization = "none",
             .max_model_len =
                 std::min(kMaxTokens, open_model({.path = model}).args.max_position_embeddings),
             .max_num_seqs = 1},
            1),
      communicator_(std::move(make_thread_communicators(1, comm_options(plan_.options, 1))[0])),
      worker_(plan_.options, *plan_.files.checkpoint, plan_.files.args, plan_.partition,
              *communicator_) {}

std::vector<float> LastLogits::of(const std::vector<int32_t>& ids) {
  ModelInput input;
  input.token_ids = ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    input.positions.push_back(static_cast<int32_t>(i));
    input.slot_mapping.push_back(static_cast<int32_t>(i));
  }
  input.cu_seqlens = {0, static_cast<int32_t>(ids.size())};
  input.context_lens = {static_cast<int32_t>(ids.size())};
  input.max_blocks =
      (plan_.options.max_model_len + plan_.options.block_size - 1) / plan_.options.block_size;
  for (int block = 0; block < input.max_blocks; ++block) input.block_tables.push_back(block);
  input.add_sampled(static_cast<int32_t>(ids.size()) - 1);
  std::vector<int32_t> words;
  input.encode(words);
  std::vector<float> logits;
  worker_.step(std::as_bytes(std::span(words)), [&](const SampledLogits& sampled) {
    const auto row = sampled.row(0);
    logits.assign(row.begin(), row.end());
  });
  return logits;
}

}  // namespace octet::testing
