// What the bundle's C++ libraries want of glibc 2.35 and 2.36, for hosts that have 2.34.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <sys/random.h>

void arc4random_buf(void *buffer, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t got = getrandom((char *)buffer + done, bytes - done, 0);
    if (got > 0) done += (size_t)got;
  }
}

uint32_t arc4random(void) {
  uint32_t value;
  arc4random_buf(&value, sizeof value);
  return value;
}

struct search {
  uintptr_t address;
  struct dl_find_object *result;
};

// 1: this object holds the address and can be unwound.
static int look(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size;
  const struct search *search = argument;
  uintptr_t begin = UINTPTR_MAX, end = 0, eh_frame = 0;
  int holds = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    const uintptr_t from = info->dlpi_addr + header->p_vaddr, to = from + header->p_memsz;
    if (header->p_type == DLFO_EH_SEGMENT_TYPE) eh_frame = from;
    if (header->p_type != PT_LOAD) continue;
    if (from < begin) begin = from;
    if (to > end) end = to;
    holds |= search->address >= from && search->address < to;
  }
  if (!holds || eh_frame == 0) return 0;
  *search->result = (struct dl_find_object){
      .dlfo_map_start = (void *)begin, .dlfo_map_end = (void *)end, .dlfo_eh_frame = (void *)eh_frame};
  return 1;
}

// The unwinder's question: the loaded object that holds an address.
int _dl_find_object(void *address, struct dl_find_object *result) {
  struct search search = {(uintptr_t)address, result};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
