// Normalizer: the first stage of a tokenizer, text to text. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/text_part.h"

namespace octet {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(TextPart& part) const = 0;  // throws InputError
};

using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

std::unique_ptr<Normalizer> unicode_form(UnicodeForm form);
std::unique_ptr<Normalizer> lowercase();
std::unique_ptr<Normalizer> strip_white_space(bool left, bool right);
std::unique_ptr<Normalizer> strip_accents();  // takes all marks out
std::unique_ptr<Normalizer> nmt();            // control characters out, odd spaces to " "
std::unique_ptr<Normalizer> prepend(std::string prefix);  // nothing to an empty text
std::unique_ptr<Normalizer> replace(Regex what, std::string with);
std::unique_ptr<Normalizer> byte_stand_ins();

}  // namespace octet
