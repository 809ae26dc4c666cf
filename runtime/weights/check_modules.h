// Does a checkpoint hold what its family and config say?
#pragma once

#include <span>

#include "runtime/weights/checkpoint.h"
#include "runtime/weights/module_names.h"

namespace octet {

// Throws InputError naming the first tensor that is missing, that the family does not have, or
// whose layer is not in [0, num_hidden_layers). A tied lm_head may be missing; where it is there
// it must be the embedding, which is read in its place; an artefact's may be int8, and then is
// read.
void check_modules(const Checkpoint& checkpoint, const ModelArgs& args,
                   std::span<const ModuleName> modules);

}  // namespace octet
