#include "runtime/bench/length_distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "runtime/bench/numbers.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr const char* kForms =
    "must be N, uniform:LOW:HIGH, normal:MEAN:STDDEV, lognormal:MEDIAN:SIGMA or exponential:MEAN";

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == ':') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

LengthDistribution LengthDistribution::parse(const std::string& text, const std::string& name,
                                             double range_ratio) {
  const auto wrong = [&](const std::string& why) {
    return InputError(fmt::format("{} is '{}', {}", name, text, why));
  };
  const std::vector<std::string> parts = split(text);
  std::vector<double> numbers;
  for (size_t i = parts.size() == 1 ? 0 : 1; i < parts.size(); ++i) {
    const std::optional<double> number = parse_number(parts[i]);
    if (!number) throw wrong(kForms);
    if (*number < 0 || *number > kMostTokens)
      throw wrong(fmt::format("must have numbers from 0 to {}", kMostTokens));
    numbers.push_back(*number);
  }
  LengthDistribution result;
  if (parts.size() == 1) {
    if (numbers[0] < 1) throw wrong("must be at least 1");
    result.first_ = std::floor(numbers[0] * (1 - range_ratio));
    result.second_ = std::ceil(numbers[0] * (1 + range_ratio));
    return result;
  }
  struct Form {
    const char* name;
    Kind kind;
    size_t numbers;
  };
  constexpr std::array kKinds{Form{"uniform", Kind::kUniform, 2}, Form{"normal", Kind::kNormal, 2},
                              Form{"lognormal", Kind::kLognormal, 2},
                              Form{"exponential", Kind::kExponential, 1}};
  const auto form = std::ranges::find(kKinds, parts[0], &Form::name);
  if (form == kKinds.end() || form->numbers != numbers.size()) throw wrong(kForms);
  result.kind_ = form->kind;
  result.first_ = numbers[0];
  if (numbers.size() == 2) result.second_ = numbers[1];
  if (result.first_ < 1) throw wrong(fmt::format("must have a first number of at least 1"));
  if (result.kind_ == Kind::kUniform && result.second_ < result.first_)
    throw wrong("must have LOW <= HIGH");
  return result;
}

int LengthDistribution::draw(std::mt19937_64& random) const {
  double value = first_;
  switch (kind_) {
    case Kind::kUniform:
      value = std::uniform_int_distribution<int>(static_cast<int>(first_),
                                                 static_cast<int>(second_))(random);
      break;
    case Kind::kNormal:
      value = first_ + second_ * std::normal_distribution<double>()(random);
      break;
    case Kind::kLognormal:
      value = first_ * std::exp(second_ * std::normal_distribution<double>()(random));
      break;
    case Kind::kExponential:
      value = first_ * std::exponential_distribution<double>()(random);
      break;
  }
  return static_cast<int>(std::clamp(std::round(value), 1.0, double{kMostTokens}));
}

}  // namespace octet
