#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/request/error.h"
#include "runtime/tokenizer/pre_tokenizer.h"

namespace octet {
namespace {

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Named {
  const char* name;
  const char* cut;      // before the byte level, or none
  bool gpt2_cut_after;  // GPT-2's own expression cuts too
};

constexpr std::array<Named, 14> kNamed = {{
    {"default", nullptr, true},
    {"gpt-2", nullptr, true},
    {"mpt", nullptr, true},
    {"olmo", nullptr, true},
    {"phi-2", nullptr, true},
    {"smollm", kDigit, true},
    {"starcoder", kDigit, true},
    {"refact", kDigit, true},
    {"command-r", kDigit, true},
    {"llama-bpe", kLlama3, false},
    {"llama3", kLlama3, false},
    {"llama-v3", kLlama3, false},
    {"qwen2", kQwen2, false},
    {"stablelm2", kQwen2, false},
}};

}  // namespace

PreTokenizers named_pre_tokenizers(const std::string& name) {
  const auto* const place = std::find_if(kNamed.begin(), kNamed.end(),
                                         [&](const Named& named) { return name == named.name; });
  if (place == kNamed.end()) {
    throw InputError(fmt::format("tokenizer.ggml.pre: \"{}\" is not a known pre-tokenizer", name));
  }
  PreTokenizers result;
  if (place->cut != nullptr) {
    result.push_back(split_at(Regex(place->cut), SplitBehavior::kIsolated));
  }
  result.push_back(byte_level(false, place->gpt2_cut_after));
  return result;
}

}  // namespace octet
