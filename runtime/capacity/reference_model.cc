#include "runtime/capacity/reference_model.h"

#include <stdlib.h>

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {

ReferenceModel::ReferenceModel(const EngineOptions& given, int num_hidden_layers)
    : options_(given) {
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error) throw InputError("the folder of temporary files (TMPDIR): " + error.message());
  std::string name = (temporary / "octet-profile-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw InputError(name + ": cannot be made");
  folder_ = name;
  const nlohmann::json config{
      {"model_type", "llama"},           {"hidden_size", 1024},
      {"intermediate_size", 2816},       {"num_hidden_layers", num_hidden_layers},
      {"num_attention_heads", 16},       {"num_key_value_heads", 4},
      {"max_position_embeddings", 2048}, {"vocab_size", 32000}};
  write_text_file(folder_ / "config.json", config.dump());
  options_.model = folder_;
  options_.load_format = "dummy";
  options_.max_model_len = 1024;
  options_.max_num_seqs = 64;
  options_.max_num_batched_tokens = kReferenceRows;
  options_.print_ledger = false;
  options_.kv_cache_memory = int64_t{256} << 20;
}

ReferenceModel::~ReferenceModel() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace octet
