// GgufFile's typed look-ups.
#include <fmt/format.h>

#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/formats/gguf_file.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};

// nullopt: the value is of another type, or does not fit.
template <typename To, typename From>
std::optional<To> convert(const From& from) {
  if constexpr (std::is_same_v<To, From>) {
    return from;
  } else if constexpr (kIsInteger<To> && kIsInteger<From>) {
    return std::in_range<To>(from) ? std::optional<To>(static_cast<To>(from)) : std::nullopt;
  } else if constexpr (std::is_same_v<To, float> && std::is_same_v<From, double>) {
    return static_cast<float>(from);
  } else if constexpr (IsVector<To>::value && IsVector<From>::value) {
    To all;
    all.reserve(from.size());
    for (const auto& element : from) {
      const auto one = convert<typename To::value_type, typename From::value_type>(element);
      if (!one) return std::nullopt;
      all.push_back(*one);
    }
    return all;
  } else {
    return std::nullopt;
  }
}

template <typename T>
constexpr std::string_view type_name() {
  if constexpr (IsVector<T>::value) return "an array of the type it should be";
  if constexpr (std::is_same_v<T, bool>) return "a boolean";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_floating_point_v<T>) return "a floating-point number";
  return "an integer that fits";
}

}  // namespace

template <typename T>
T GgufFile::get(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) {
    throw InputError(fmt::format("{}: key {} is missing", path_.string(), printable(key)));
  }
  const std::optional<T> value =
      std::visit([](const auto& from) { return convert<T>(from); }, found->second);
  if (!value) {
    throw InputError(
        fmt::format("{}: key {} is not {}", path_.string(), printable(key), type_name<T>()));
  }
  return *value;
}

template <typename T>
T GgufFile::get_or(std::string_view key, T fallback) const {
  return has(key) ? get<T>(key) : std::move(fallback);
}

#define OCTET_GGUF_LOOKUPS(T)                          \
  template T GgufFile::get<T>(std::string_view) const; \
  template T GgufFile::get_or<T>(std::string_view, T) const;
OCTET_GGUF_LOOKUPS(bool)
OCTET_GGUF_LOOKUPS(int32_t)
OCTET_GGUF_LOOKUPS(uint32_t)
OCTET_GGUF_LOOKUPS(int64_t)
OCTET_GGUF_LOOKUPS(uint64_t)
OCTET_GGUF_LOOKUPS(float)
OCTET_GGUF_LOOKUPS(double)
OCTET_GGUF_LOOKUPS(std::string)
OCTET_GGUF_LOOKUPS(std::vector<bool>)
OCTET_GGUF_LOOKUPS(std::vector<int32_t>)
OCTET_GGUF_LOOKUPS(std::vector<int64_t>)
OCTET_GGUF_LOOKUPS(std::vector<uint64_t>)
OCTET_GGUF_LOOKUPS(std::vector<float>)
OCTET_GGUF_LOOKUPS(std::vector<double>)
OCTET_GGUF_LOOKUPS(std::vector<std::string>)
#undef OCTET_GGUF_LOOKUPS

}  // namespace octet
