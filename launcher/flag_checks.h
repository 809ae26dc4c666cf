// Checks of flags, where CLI11's own let NaN and wrapped numbers pass or print the limits of a
// type.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

namespace octet {

CLI::Validator non_negative();                            // a finite number of 0 or more
CLI::Validator positive();                                // a finite number above 0
CLI::Validator between(double low, double high);          // a finite number in [low, high]
CLI::Validator whole_number(uint64_t most = UINT64_MAX);  // digits, no sign
CLI::Validator not_empty();

// Throws InputError unless a file for results can be written, found out before hours of work are in
// it, by permissions alone: nothing is opened or made. Empty: no file is wanted.
void require_writable(const std::string& file);

}  // namespace octet
