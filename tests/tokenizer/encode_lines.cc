// The octet side of random_strings.py: each line of stdin is a JSON string; each line of stdout is
// {"ids": [...], "decoded": "..."}. Usage: encode_lines VOCABULARY [parse_special [add_special]]
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: encode_lines VOCABULARY [parse_special [add_special]]\n");
    return 2;
  }
  try {
    const auto tokenizer = octet::load_tokenizer(argv[1]);
    const bool parse_special = argc > 2, add_special = argc > 3;
    for (std::string line; std::getline(std::cin, line);) {
      const auto text = nlohmann::json::parse(line).get<std::string>();
      const auto ids = tokenizer->encode(text, add_special, parse_special);
      const nlohmann::json answer = {{"ids", ids}, {"decoded", tokenizer->decode(ids)}};
      std::cout << answer.dump() << '\n';
    }
  } catch (const octet::InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
