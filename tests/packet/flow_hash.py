# SPDX-License-Identifier: Apache-2.0
"""The flow hash in plain Python, from FIPS 197 and the description of the hash, not from the C++: four AES rounds, MixColumns
in each, over the flow block, keyed by round keys 0 to 4 of the AES-128 key schedule of the seed."""
import ipaddress
import struct

ROUNDS = 4


def _times(a, b):
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _substitute(byte):
    """S-box: the inverse (0 stays 0), then the affine map (FIPS 197, 5.1.1)."""
    inverse = next((c for c in range(256) if _times(byte, c) == 1), 0)
    result = 0x63
    for shift in range(5):
        result ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
    return result


SBOX = [_substitute(byte) for byte in range(256)]
TWICE = [_times(byte, 2) for byte in range(256)]


def round_keys(seed):
    """FIPS 197, 5.2, words of four bytes; only the first five round keys."""
    words = [list(seed[i : i + 4]) for i in range(0, 16, 4)]
    constant = 1
    for i in range(4, 4 * (ROUNDS + 1)):
        word = words[i - 1]
        if i % 4 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = _times(constant, 2)
        words.append([a ^ b for a, b in zip(words[i - 4], word)])
    return [sum(words[i : i + 4], []) for i in range(0, len(words), 4)]


def _round(state, key):
    """SubBytes, ShiftRows, MixColumns, AddRoundKey; byte i of the state is row i % 4 of column i // 4."""
    state = [SBOX[byte] for byte in state]
    state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
    out = []
    for i in range(16):
        column = state[i - i % 4 : i - i % 4 + 4]
        a, b, c, d = (column[(i + n) % 4] for n in range(4))
        out.append(TWICE[a] ^ TWICE[b] ^ b ^ c ^ d ^ key[i])
    return out


def flow_hash(seed, source, destination, source_port, destination_port, protocol):
    """-> (row, line, spare, entropy), 32 bits each. Addresses as text, seed as 16 bytes."""
    block = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    block += struct.pack(">HHB3x", source_port, destination_port, protocol)
    keys = round_keys(seed)
    state = [a ^ b for a, b in zip(block, keys[0])]
    for key in keys[1:]:
        state = _round(state, key)
    return struct.unpack("<4I", bytes(state))
