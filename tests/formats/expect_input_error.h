// EXPECT_INPUT_ERROR(statement, "part of the message", ...): the statement throws an InputError of
// one line that holds every part.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "runtime/request/error.h"

namespace octet {

template <typename Statement>
void expect_input_error(Statement statement, std::initializer_list<std::string> parts) {
  try {
    statement();
    ADD_FAILURE() << "no error; expected one with " << *parts.begin();
  } catch (const InputError& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    for (const std::string& part : parts) {
      EXPECT_NE(line.find(part), std::string::npos) << line << "\nhas no: " << part;
    }
  }
}

}  // namespace octet

#define EXPECT_INPUT_ERROR(statement, ...) \
  ::octet::expect_input_error([&] { statement; }, {__VA_ARGS__})
