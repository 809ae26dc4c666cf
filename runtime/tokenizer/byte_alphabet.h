// The two spellings of raw bytes in vocabularies. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace octet {

// Byte-level vocabularies (Radford et al. 2019): each byte is one printable character.
const std::string& byte_stand_in(uint8_t byte);
std::string stand_ins_of_bytes(std::string_view bytes);
std::optional<std::string> bytes_of_stand_ins(std::string_view piece);  // nullopt: not made of them

// Byte fallback (SentencePiece): "<0x0A>" is the byte 10.
std::string byte_token(uint8_t byte);
std::optional<uint8_t> byte_of_token(std::string_view piece);

}  // namespace octet
