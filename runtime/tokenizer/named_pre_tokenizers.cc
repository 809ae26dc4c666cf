#include "runtime/tokenizer/pre_tokenizer.h"

namespace octet {
namespace {

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
constexpr const char* kPunctuation = R"([!-/:-@\[-`{-~\p{P}]+)";
constexpr const char* kThreeDigits = "[0-9][0-9][0-9]";

struct Cuts {
  const char* before = nullptr;  // the byte level
  bool gpt2 = true;              // GPT-2's own expression cuts too
  const char* after = nullptr;
  bool whole_words = false, add_bos = false;
};

constexpr Cuts kGpt2Cuts{}, kDigitCuts{.before = kDigit},
    kLlama3Cuts{.before = kLlama3, .gpt2 = false, .whole_words = true, .add_bos = true},
    kSmaugCuts{.before = kLlama3, .gpt2 = false}, kQwen2Cuts{.before = kQwen2, .gpt2 = false},
    kBloomCuts{.before = kBloom, .gpt2 = false},
    kFalconCuts{.before = kPunctuation, .after = kThreeDigits};

constexpr struct {
  std::string_view name;
  const Cuts& cuts;
} kNamed[] = {
    {"default", kGpt2Cuts},     {"gpt-2", kGpt2Cuts},         {"jais", kGpt2Cuts},
    {"mpt", kGpt2Cuts},         {"olmo", kGpt2Cuts},          {"phi-2", kGpt2Cuts},
    {"codeshell", kDigitCuts},  {"command-r", kDigitCuts},    {"exaone", kDigitCuts},
    {"minerva-7b", kDigitCuts}, {"refact", kDigitCuts},       {"smollm", kDigitCuts},
    {"starcoder", kDigitCuts},  {"falcon3", kLlama3Cuts},     {"llama-bpe", kLlama3Cuts},
    {"llama-v3", kLlama3Cuts},  {"llama3", kLlama3Cuts},      {"pixtral", kLlama3Cuts},
    {"dbrx", kSmaugCuts},       {"smaug-bpe", kSmaugCuts},    {"deepseek-r1-qwen", kQwen2Cuts},
    {"megrez", kQwen2Cuts},     {"qwen2", kQwen2Cuts},        {"stablelm2", kQwen2Cuts},
    {"bloom", kBloomCuts},      {"gpt3-finnish", kBloomCuts}, {"poro-chat", kBloomCuts},
    {"falcon", kFalconCuts},
};

}  // namespace

std::optional<NamedTokenizer> named_tokenizer(std::string_view name) {
  for (const auto& named : kNamed) {
    if (named.name != name) continue;
    const Cuts& cuts = named.cuts;
    NamedTokenizer result{
        .pre_tokenizers = {}, .whole_words = cuts.whole_words, .add_bos = cuts.add_bos};
    const auto cut_at = [&](const char* pattern) {
      if (pattern == nullptr) return;
      result.pre_tokenizers.push_back(split_at(Regex(pattern), SplitBehavior::kIsolated));
    };
    cut_at(cuts.before);
    result.pre_tokenizers.push_back(byte_level(false, cuts.gpt2));
    cut_at(cuts.after);
    return result;
  }
  return std::nullopt;
}

}  // namespace octet
