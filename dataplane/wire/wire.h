/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The base of every wire header: integer types, network byte order, namespaces.
 *
 * What stands in wire/ is read by C++ (g++, clang) and by BPF C (clang -target bpf): one truth for
 * both. Network order exists only as Be16/Be32/Be64. In C++ these are classes with explicit
 * conversion only; in C they are plain integers, converted with bpf_ntohs() and its siblings.
 */
#ifndef FAIRLEAD_WIRE_WIRE_H
#define FAIRLEAD_WIRE_WIRE_H

#ifdef __cplusplus

#include <bit>
#include <cstddef>
#include <cstdint>

#define FAIRLEAD_WIRE_BEGIN namespace fairlead::wire {
#define FAIRLEAD_WIRE_END }
#define FAIRLEAD_WIRE_ASSERT(condition, text) static_assert(condition, text)
#define FAIRLEAD_WIRE_OFFSET(type, member) offsetof(type, member)
#define FAIRLEAD_PACKED __attribute__((packed))

namespace fairlead::wire {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// An integer held in network byte order, alignment 1. Aggregate, so that wire structs stay trivial.
template <class T>
struct BigEndian {
    T raw; ///< the bytes as they stand on the wire; compare and copy them, never compute with them

    [[nodiscard]] static constexpr BigEndian from_host(T value) noexcept { return {swap(value)}; }
    [[nodiscard]] constexpr T host() const noexcept { return swap(raw); }
    friend constexpr bool operator==(BigEndian a, BigEndian b) noexcept { return a.raw == b.raw; }

  private:
    static constexpr T swap(T value) noexcept {
        if constexpr (std::endian::native == std::endian::big) return value;
        else if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
        else if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
        else return __builtin_bswap64(value);
    }
} __attribute__((packed));

using Be16 = BigEndian<u16>;
using Be32 = BigEndian<u32>;
using Be64 = BigEndian<u64>;
static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be64) == 8 && alignof(Be64) == 1);

} // namespace fairlead::wire

#else /* BPF C */

#include <linux/types.h>

#define FAIRLEAD_WIRE_BEGIN
#define FAIRLEAD_WIRE_END
#define FAIRLEAD_WIRE_ASSERT(condition, text) _Static_assert(condition, text)
#define FAIRLEAD_WIRE_OFFSET(type, member) __builtin_offsetof(struct type, member)
#define FAIRLEAD_PACKED __attribute__((packed))

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __u16 Be16;
typedef __u32 Be32;
typedef __u64 Be64;

#endif
#endif
