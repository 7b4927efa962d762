/* CRC-32C: of bytes 4 to 4095 of blocks, without the final inversion, which is what the kernel stores, before its salt;
 * and of any bytes, without the inversions at both ends.
 *
 * Polynomial 0x1EDC6F41, reflected (RFC 3720, B.4). By the processor's instruction where it has one, else by tables.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 4096

static uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t read64(const uint8_t *at) { return (uint64_t)read32(at) | (uint64_t)read32(at + 4) << 32; }

typedef void (*Sum)(const uint8_t *blocks, ptrdiff_t count, uint32_t *sums);
typedef uint32_t (*GoOn)(uint32_t crc, const uint8_t *at, ptrdiff_t length);

static uint32_t tables[8][256];

static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        tables[0][byte] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (int byte = 0; byte < 256; byte++)
            tables[row][byte] = tables[row - 1][byte] >> 8 ^ tables[0][tables[row - 1][byte] & 0xFF];
}

static uint32_t go_on_plain(uint32_t crc, const uint8_t *at, ptrdiff_t length) {
    const uint8_t *end = at + length;
    for (; end - at >= 8; at += 8) {
        uint32_t low = read32(at) ^ crc, high = read32(at + 4);
        crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^ tables[4][low >> 24] ^
              tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^ tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
    }
    for (; at < end; at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xFF];
    return crc;
}

static void sum_blocks_plain(const uint8_t *blocks, ptrdiff_t count, uint32_t *sums) {
    for (ptrdiff_t i = 0; i < count; i++)
        sums[i] = go_on_plain(~0u, blocks + i * BLOCK + 4, BLOCK - 4);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>

static uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* The instruction takes three cycles and one can begin each cycle: so four blocks are summed side by side. */
__attribute__((target("sse4.2"))) static void sum_blocks_sse(const uint8_t *blocks, ptrdiff_t count, uint32_t *sums) {
    ptrdiff_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint8_t *a = blocks + i * BLOCK, *b = a + BLOCK, *c = b + BLOCK, *d = c + BLOCK;
        uint64_t w = _mm_crc32_u32(~0u, read32(a + 4)), x = _mm_crc32_u32(~0u, read32(b + 4));
        uint64_t y = _mm_crc32_u32(~0u, read32(c + 4)), z = _mm_crc32_u32(~0u, read32(d + 4));
        for (int at = 8; at < BLOCK; at += 8) {
            w = _mm_crc32_u64(w, load64(a + at));
            x = _mm_crc32_u64(x, load64(b + at));
            y = _mm_crc32_u64(y, load64(c + at));
            z = _mm_crc32_u64(z, load64(d + at));
        }
        sums[i] = (uint32_t)w, sums[i + 1] = (uint32_t)x, sums[i + 2] = (uint32_t)y, sums[i + 3] = (uint32_t)z;
    }
    for (; i < count; i++) {
        const uint8_t *a = blocks + i * BLOCK;
        uint64_t w = _mm_crc32_u32(~0u, read32(a + 4));
        for (int at = 8; at < BLOCK; at += 8)
            w = _mm_crc32_u64(w, load64(a + at));
        sums[i] = (uint32_t)w;
    }
}

__attribute__((target("sse4.2"))) static uint32_t go_on_sse(uint32_t crc, const uint8_t *at, ptrdiff_t length) {
    uint64_t wide = crc;
    for (; length >= 8; at += 8, length -= 8)
        wide = _mm_crc32_u64(wide, load64(at));
    crc = (uint32_t)wide;
    for (; length; at++, length--)
        crc = _mm_crc32_u8(crc, *at);
    return crc;
}

static int has_instruction(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

static Sum choose_sum(void) { return has_instruction() ? sum_blocks_sse : sum_blocks_plain; }

static GoOn choose_go_on(void) { return has_instruction() ? go_on_sse : go_on_plain; }
#else
static Sum choose_sum(void) { return sum_blocks_plain; }

static GoOn choose_go_on(void) { return go_on_plain; }
#endif

static Sum sum_blocks;
static GoOn go_on;
