// LengthDistribution: how many tokens a prompt or an answer has. Plain values; any thread.
//
//   128                    always 128
//   uniform:64:256         each whole number from 64 to 256 alike
//   normal:128:32          mean and standard deviation
//   lognormal:128:0.6      median, and the standard deviation of the logarithm
//   exponential:128        mean
//
// What is drawn is rounded and kept in [1, kMostTokens].
#pragma once

#include <random>
#include <string>

namespace octet {

constexpr int kMostTokens = 1 << 20;

class LengthDistribution {
 public:
  // Throws InputError naming `name`, the text and what is wrong with it. A `range_ratio` above 0
  // turns a single number L into uniform:L*(1-ratio):L*(1+ratio).
  static LengthDistribution parse(const std::string& text, const std::string& name,
                                  double range_ratio = 0);

  int draw(std::mt19937_64& random) const;

 private:
  enum class Kind { kUniform, kNormal, kLognormal, kExponential };

  Kind kind_ = Kind::kUniform;
  double first_ = 1, second_ = 1;  // in the order written above
};

}  // namespace octet
