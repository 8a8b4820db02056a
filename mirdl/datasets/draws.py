"""Random numbers that are a function of what they are for: a seed, an epoch and a clip (lesson 21).

No generator is carried along, so processes, subsets and resumed runs all draw the same.
"""

import hashlib

import numpy as np


def keys(clip_ids):
    """Return a 64-bit number for each clip id, uint64 (n_clips,)."""
    digests = b"".join(hashlib.blake2b(str(i).encode(), digest_size=8).digest() for i in clip_ids)
    return np.frombuffer(digests, dtype="<u8")


def scatter(x):
    """Scatter 64-bit counters over all 64-bit numbers, splitmix64 [Steele et al., OOPSLA 2014]."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(seed, epoch, keys):
    """Return numbers in [0, 1), a function of (seed, epoch, key)."""
    seed, epoch = (np.array([n % 2**64], dtype=np.uint64) for n in (seed, epoch))
    return (scatter(keys + scatter(epoch + scatter(seed))) >> np.uint64(11)) * 2.0**-53


def one_seed(*numbers):
    """Make one seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
