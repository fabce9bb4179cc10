"""XXH3-128, seed 0, default secret, from the public xxHash specification (FMT-9).

Used only when the `xxhash` module is missing; slow, but one mebibyte takes well under a second.
"""

MASK = (1 << 64) - 1
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8"
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea"
    "c5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b"
    "16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)


def r64(b, at):
    return int.from_bytes(b[at : at + 8], "little")


def r32(b, at):
    return int.from_bytes(b[at : at + 4], "little")


def swap(x, width):
    return int.from_bytes(x.to_bytes(width, "little"), "big")


def fold(a, b):
    m = a * b
    return (m & MASK) ^ (m >> 64)


def avalanche(x):
    x ^= x >> 37
    x = x * 0x165667919E3779F9 & MASK
    return x ^ (x >> 32)


def avalanche64(x):
    x ^= x >> 33
    x = x * P64[1] & MASK
    x ^= x >> 29
    x = x * P64[2] & MASK
    return x ^ (x >> 32)


def up_to_3(d):
    n = len(d)
    low = d[0] << 16 | d[n >> 1] << 24 | d[n - 1] | n << 8
    s = swap(low, 4)
    high = (s << 13 | s >> 19) & 0xFFFFFFFF
    return (
        avalanche64(low ^ r32(SECRET, 0) ^ r32(SECRET, 4)),
        avalanche64(high ^ r32(SECRET, 8) ^ r32(SECRET, 12)),
    )


def up_to_8(d):
    n = len(d)
    word = r32(d, 0) + (r32(d, n - 4) << 32)
    m = (word ^ r64(SECRET, 16) ^ r64(SECRET, 24)) * (P64[0] + (n << 2) & MASK)
    low, high = m & MASK, m >> 64
    high = high + (low << 1) & MASK
    low ^= high >> 3
    low ^= low >> 35
    low = low * 0x9FB21C651E98DF25 & MASK
    return low ^ (low >> 28), avalanche(high)


def up_to_16(d):
    n = len(d)
    low, high = r64(d, 0), r64(d, n - 8)
    m = (low ^ high ^ r64(SECRET, 32) ^ r64(SECRET, 40)) * P64[0]
    m_low, m_high = m & MASK, m >> 64
    m_low = m_low + ((n - 1) << 54) & MASK
    high ^= r64(SECRET, 48) ^ r64(SECRET, 56)
    m_high = m_high + high + (high & 0xFFFFFFFF) * (P32[1] - 1) & MASK
    h = (m_low ^ swap(m_high, 8)) * P64[1]
    return avalanche(h & MASK), avalanche((h >> 64) + m_high * P64[1] & MASK)


def mix16(d, at, s):
    return fold(r64(d, at) ^ r64(SECRET, s), r64(d, at + 8) ^ r64(SECRET, s + 8))


def mix32(acc, d, one, two, s):
    low = (acc[0] + mix16(d, one, s) & MASK) ^ (r64(d, two) + r64(d, two + 8) & MASK)
    high = (acc[1] + mix16(d, two, s + 16) & MASK) ^ (r64(d, one) + r64(d, one + 8) & MASK)
    return low, high


def up_to_240(d):
    n = len(d)
    acc = (n * P64[0] & MASK, 0)
    if n <= 128:
        for i in range((n - 1) // 32, -1, -1):
            acc = mix32(acc, d, 16 * i, n - 16 * (i + 1), 32 * i)
    else:
        for i in range(32, 160, 32):
            acc = mix32(acc, d, i - 32, i - 16, i - 32)
        acc = (avalanche(acc[0]), avalanche(acc[1]))
        for i in range(160, n + 1, 32):
            acc = mix32(acc, d, i - 32, i - 16, i - 157)
        acc = mix32(acc, d, n - 16, n - 32, 103)
    high = acc[0] * P64[0] + acc[1] * P64[3] + n * P64[1] & MASK
    return avalanche(acc[0] + acc[1] & MASK), -avalanche(high) & MASK


def stripe(acc, d, at, s):
    for i in range(8):
        v = r64(d, at + 8 * i)
        k = v ^ r64(SECRET, s + 8 * i)
        acc[i ^ 1] = acc[i ^ 1] + v & MASK
        acc[i] = acc[i] + (k & 0xFFFFFFFF) * (k >> 32) & MASK


def merge(acc, s, start):
    for i in range(4):
        start += fold(
            acc[2 * i] ^ r64(SECRET, s + 16 * i), acc[2 * i + 1] ^ r64(SECRET, s + 16 * i + 8)
        )
    return avalanche(start & MASK)


def long(d):
    n = len(d)
    acc = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    blocks = (n - 1) // 1024
    for block in range(blocks):
        for i in range(16):
            stripe(acc, d, 1024 * block + 64 * i, 8 * i)
        for i in range(8):
            x = acc[i] ^ (acc[i] >> 47) ^ r64(SECRET, 128 + 8 * i)
            acc[i] = x * P32[0] & MASK
    for i in range((n - 1 - 1024 * blocks) // 64):
        stripe(acc, d, 1024 * blocks + 64 * i, 8 * i)
    stripe(acc, d, n - 64, 121)
    return merge(acc, 11, n * P64[0] & MASK), merge(acc, 117, ~(n * P64[1]) & MASK)


def xxh3_128(d):
    """The 16 bytes of the canonical form: high half first, both big-endian."""
    d = bytes(d)
    if not d:
        low = avalanche64(r64(SECRET, 64) ^ r64(SECRET, 72))
        high = avalanche64(r64(SECRET, 80) ^ r64(SECRET, 88))
    else:
        limits = ((3, up_to_3), (8, up_to_8), (16, up_to_16), (240, up_to_240))
        low, high = next((f for n, f in limits if len(d) <= n), long)(d)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")
