// PreTokenizer: cuts text into the words inside which byte pairs are merged, by one regular
// expression after the other. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

// A compiled regular expression (PCRE2; Unicode classes). Throws InputError naming the pattern.
class Splitter {
 public:
  enum class Kind {
    kIsolated,        // matches and what is between them become words
    kRemoved,         // only what is between matches
    kMergedPrevious,  // a match ends the word before it
    kMergedNext,      // a match begins the word after it
  };
  Splitter(const std::string& pattern, Kind kind, bool literal = false);
  ~Splitter();
  Splitter(Splitter&&) noexcept;

  void split(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
  Kind kind_;
};

class PreTokenizer {
 public:
  void add(Splitter splitter) { splitters_.push_back(std::move(splitter)); }
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::vector<Splitter> splitters_;
};

// The cuts that GGUF files name (tokenizer.ggml.pre): "gpt-2", "smollm", "llama-bpe", ... Throws
// InputError for an unknown name.
PreTokenizer named_pre_tokenizer(const std::string& name);

extern const char* const kGpt2Pattern;

}  // namespace octet
