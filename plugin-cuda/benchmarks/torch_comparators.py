"""Times what gpu-check compares with: per-adapter matrix products, gather and batched products, and addmm_ loops, in PyTorch on the same GPU.

usage: torch_comparators.py CASES RESULTS [--device cuda]

CASES has one key per line, hidden/rank/tokens/adapters/distribution, as gpu-check --cases writes it. RESULTS gets "key loop-micros gathered-micros" per
line, and "switch addmm-micros 0". Medians of event-timed repeats over buffers in rotation that exceed the cache.
"""

import math
import statistics
import sys
import time

import torch

MIXED = (8, 16, 32, 64)
ROTATE_BYTES = 256 << 20


def counts_of(distribution, tokens, adapters):
    shares = [1.5 ** (adapters - a) if distribution == "skewed" else 1.0 for a in range(adapters)]
    left = tokens - adapters
    counts = [1 + int(left * s / sum(shares)) for s in shares]
    for a in range(tokens - sum(counts)):
        counts[a % adapters] += 1
    return counts


def median_micros(call, rotation, repeats, device):
    times = []
    for i in range(-min(rotation, 10), repeats):
        if device == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            call(i % rotation)
            end.record()
            end.synchronize()
            micros = 1000 * start.elapsed_time(end)
        else:
            before = time.perf_counter()
            call(i % rotation)
            micros = 1e6 * (time.perf_counter() - before)
        if i >= 0:
            times.append(micros)
    return statistics.median(times)


def sgmv(key, device, repeats):
    hidden, rank, tokens, adapters, distribution = key.split("/")
    hidden, tokens, adapters = int(hidden), int(tokens), int(adapters)
    ranks = [MIXED[a % len(MIXED)] if rank == "mixed" else int(rank) for a in range(adapters)]
    counts = counts_of(distribution, tokens, adapters)
    widest = max(ranks)
    bytes_per_layer = 4 * hidden * sum(ranks) + 6 * tokens * hidden
    rotation = max(1, min(32, math.ceil(ROTATE_BYTES / bytes_per_layer)))

    def make(*shape):
        return torch.randn(shape, device=device, dtype=torch.bfloat16) * 0.02

    a = [[make(hidden, r) for r in ranks] for _ in range(rotation)]
    b = [[make(r, hidden) for r in ranks] for _ in range(rotation)]
    x = [make(tokens, hidden) for _ in range(rotation)]
    y = [make(tokens, hidden) for _ in range(rotation)]
    starts = [sum(counts[:i]) for i in range(adapters)]

    def loop(i):
        for j in range(adapters):
            rows = slice(starts[j], starts[j] + counts[j])
            y[i][rows].addmm_(x[i][rows] @ a[i][j], b[i][j])

    looped = median_micros(loop, rotation, repeats, device)
    gathered = float("nan")
    if 4 * tokens * hidden * widest < 8 << 30:
        stacked_a = [torch.stack([torch.nn.functional.pad(m, (0, widest - m.shape[1])) for m in layer]) for layer in a]
        stacked_b = [torch.stack([torch.nn.functional.pad(m, (0, 0, 0, widest - m.shape[0])) for m in layer]) for layer in b]
        index = torch.tensor([j for j in range(adapters) for _ in range(counts[j])], device=device)

        def gather(i):
            h = torch.bmm(x[i].unsqueeze(1), stacked_a[i][index])
            y[i].add_(torch.bmm(h, stacked_b[i][index]).squeeze(1))

        gathered = median_micros(gather, rotation, repeats, device)
    return looped, gathered


def switch(device, repeats, layers=32, hidden=4096, intermediate=11008, rank=16):
    shapes = [(hidden, hidden)] * 4 + [(intermediate, hidden)] * 2 + [(hidden, intermediate)]

    def make(*shape):
        return torch.randn(shape, device=device, dtype=torch.bfloat16) * 0.02

    pristine = [make(*shape) for _ in range(layers) for shape in shapes]
    merged = [torch.empty_like(w) for w in pristine]
    adapters = [[(make(w.shape[0], rank), make(rank, w.shape[1])) for w in pristine] for _ in range(2)]

    def run(_):
        for i, w in enumerate(pristine):
            merged[i].copy_(w)
            for adapter, weight in zip(adapters, (0.6, 0.4)):
                merged[i].addmm_(adapter[i][0], adapter[i][1], alpha=weight)

    return median_micros(run, 1, repeats, device)


def main():
    device = sys.argv[4] if len(sys.argv) > 4 else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch_comparators: PyTorch sees no GPU")
    with open(sys.argv[1]) as cases, open(sys.argv[2], "w") as results, torch.no_grad():
        for key in cases.read().split():
            looped, gathered = sgmv(key, device, 30 if device == "cuda" else 2)
            print(key, f"{looped:.2f}", f"{gathered:.2f}", file=results, flush=True)
        if device == "cuda":
            print("switch", f"{switch(device, 10):.2f}", 0, file=results)


if __name__ == "__main__":
    main()
