// Memory shared by processes: an anonymous one made before fork, or one with a name by which other
// processes find it once. Errors: std::system_error.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace octet {

std::shared_ptr<std::byte> map_anonymous(size_t bytes);  // for children by fork
std::shared_ptr<std::byte> map_named(const std::string& name, size_t bytes, bool create);
std::string name_of_region();                // that this process makes for its group
void unlink_named(const std::string& name);  // the memory lives on where it is mapped

}  // namespace octet
