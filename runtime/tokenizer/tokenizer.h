// Tokenizer: text <-> token ids, exactly as the model was trained. Immutable after construction;
// any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of `text`. Special tokens written out in the text ("<|im_start|>") become their ids when
  // parse_special; the model's own prefix and suffix (BOS, ...) are added when add_special. Throws
  // InputError for malformed UTF-8, naming the byte offset.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_special,
                                      bool parse_special) const = 0;

  // The bytes of one token as it stands in running text, or as the `first` of a text (where some
  // schemes drop the space that encode() put there); a special token is "" when skip_special. May
  // be part of a UTF-8 character. REQUIRES: 0 <= id < vocab_size().
  virtual std::string token_bytes(int32_t id, bool skip_special = true,
                                  bool first = false) const = 0;

  // The text of a whole sequence.
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special = true) const = 0;

  virtual int32_t vocab_size() const = 0;
  virtual bool is_special(int32_t id) const = 0;  // a control token, no text
  virtual std::optional<int32_t> token_id(
      std::string_view piece) const = 0;  // a special token's id by its text
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::vector<int32_t> eos_ids() const = 0;      // every id that ends a generation
  virtual const std::string& chat_template() const = 0;  // Jinja text, "" when the model has none
};

// From a model folder: the first that is there of tokenizer.json, tokenizer.gguf (a GGUF file
// without tensors), tokenizer.model (SentencePiece), vocab.json with merges.txt; and
// tokenizer_config.json, generation_config.json, ... where present. Or from one such file: *.json,
// *.model, else GGUF. Throws InputError naming the file and the field.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model);

// Turns a stream of ids into text deltas that are whole UTF-8 characters, together exactly decode()
// of all ids. Bytes that are no character become U+FFFD, one for each longest beginning of a
// character; an unfinished one at the end only at finish(). One stream, one thread.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);  // borrowed
  std::string push(int32_t id);  // the text that is complete now, maybe ""
  std::string finish();          // what is left

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_;
  std::string pending_;  // bytes that are not a character yet
  bool at_start_ = true;
};

}  // namespace octet
