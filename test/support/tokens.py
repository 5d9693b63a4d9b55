"""Idempotency tokens as a client makes them."""
import random
import time


def uuid7(chance=random):
    ms = time.time_ns() // 1_000_000
    value = (ms << 80) | (7 << 76) | (chance.getrandbits(12) << 64) | (2 << 62) | chance.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
