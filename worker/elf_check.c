/* Bounds of a shared object's segments. */
#include "elf_check.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_inside(uint64_t offset, uint64_t size, size_t length)
{
    return offset <= length && size <= length - offset;
}

static const char *check_segments(const char *data, size_t length, const Elf64_Ehdr *head)
{
    bool dynamic = false;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, data + head->e_phoff + (size_t)i * sizeof segment, sizeof segment);
        bool loaded = segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC;
        if (loaded && !is_inside(segment.p_offset, segment.p_filesz, length))
            return "is truncated";
        dynamic = dynamic || segment.p_type == PT_DYNAMIC;
    }
    return dynamic ? NULL : "is no shared object";
}

const char *elf_check(const void *data, size_t length)
{
    Elf64_Ehdr head;
    if (length < sizeof head || memcmp(data, ELFMAG, SELFMAG) != 0)
        return "is no shared object";
    memcpy(&head, data, sizeof head);
    if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_type != ET_DYN ||
        head.e_phentsize != sizeof(Elf64_Phdr))
        return "is no 64-bit shared object";
    if (!is_inside(head.e_phoff, (uint64_t)head.e_phnum * sizeof(Elf64_Phdr), length))
        return "is truncated";
    return check_segments(data, length, &head);
}
