"""Times what gpu-check compares with, in PyTorch on the same GPU: per-adapter matrix products (cuBLAS), gather and
batched products, addmm_ loops.

usage: torch_comparators.py GPU-CHECK.JSON [--minutes N] [--device cuda]

Takes the SGMV cases and the switch from what gpu-check wrote, adds its own times to them as it goes, and prints how
many times as long PyTorch takes. Each way is timed by itself, calls against calls, and replayed from a CUDA graph,
graphs against graphs. Medians of event-timed repeats over buffers in rotation that together exceed twice the cache.
"""

import argparse
import json
import math
import os
import statistics
import time

import torch

MIXED = (8, 16, 32, 64)
LARGEST_ROTATION = 512


def counts_of(distribution, tokens, adapters):
    shares = [1.5 ** (adapters - a) if distribution == "skewed" else 1.0 for a in range(adapters)]
    left = tokens - adapters
    counts = [1 + int(left * s / sum(shares)) for s in shares]
    for a in range(tokens - sum(counts)):
        counts[a % adapters] += 1
    return counts


def micros_of(call, device):
    if device != "cuda":
        before = time.perf_counter()
        call()
        return 1e6 * (time.perf_counter() - before)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    end.synchronize()
    return 1000 * start.elapsed_time(end)


def median_micros(call, rotation, repeats, device, seconds=1.5):
    """The median time of call(i), i in rotation; fewer repeats where they would take longer than so many seconds."""
    times = []
    end = time.monotonic() + seconds
    for i in range(-min(rotation, 10), repeats):
        micros = micros_of(lambda: call(i % rotation), device)
        if i >= 0:
            times.append(micros)
            if len(times) >= 5 and time.monotonic() > end:
                break
    return statistics.median(times)


def graph_micros(call, rotation, device):
    """The median time per call in a graph of calls over the whole rotation; None where it cannot be captured."""
    if device != "cuda":
        return None
    calls = max(rotation, 20)
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for i in range(calls):
                call(i % rotation)
        graph.replay()
        return statistics.median(micros_of(graph.replay, device) / calls for _ in range(7))
    except RuntimeError as e:
        print("  not captured:", str(e).splitlines()[0])
        return None
    finally:
        torch.cuda.synchronize()


def sgmv(key, rotate_bytes, device, repeats):
    hidden, rank, tokens, adapters, distribution = key.split("/")
    hidden, tokens, adapters = int(hidden), int(tokens), int(adapters)
    ranks = [MIXED[a % len(MIXED)] if rank == "mixed" else int(rank) for a in range(adapters)]
    counts = counts_of(distribution, tokens, adapters)
    widest = max(ranks)
    bytes_per_layer = 4 * hidden * sum(ranks) + 6 * tokens * hidden
    rotation = max(1, min(LARGEST_ROTATION, math.ceil(rotate_bytes / bytes_per_layer)))

    def make(*shape):
        return torch.randn(shape, device=device, dtype=torch.bfloat16) * 0.02

    # One tensor per layer holds all adapters, padded to the widest rank; the loop takes each adapter's own part of it.
    a = [make(adapters, hidden, widest) for _ in range(rotation)]
    b = [make(adapters, widest, hidden) for _ in range(rotation)]
    for layer in range(rotation):
        for j, r in enumerate(ranks):
            if r < widest:
                a[layer][j, :, r:] = 0
                b[layer][j, r:] = 0
    own_a = [[a[i][j][:, :r].contiguous() for j, r in enumerate(ranks)] for i in range(rotation)]
    own_b = [[b[i][j][:r].contiguous() for j, r in enumerate(ranks)] for i in range(rotation)]
    x = [make(tokens, hidden) for _ in range(rotation)]
    y = [make(tokens, hidden) for _ in range(rotation)]
    starts = [sum(counts[:i]) for i in range(adapters)]

    def loop(i):
        for j in range(adapters):
            rows = slice(starts[j], starts[j] + counts[j])
            y[i][rows].addmm_(x[i][rows] @ own_a[i][j], own_b[i][j])

    index = torch.tensor([j for j in range(adapters) for _ in range(counts[j])], device=device)

    def gather(i):
        h = torch.bmm(x[i].unsqueeze(1), a[i][index])
        y[i].add_(torch.bmm(h, b[i][index]).squeeze(1))

    times = {"loopMicros": median_micros(loop, rotation, repeats, device), "loopGraphMicros": graph_micros(loop, rotation, device)}
    if 4 * tokens * hidden * widest < 20 << 30:
        times["gatheredMicros"] = median_micros(gather, rotation, repeats, device)
        if 4 * tokens * hidden * widest < 4 << 30:
            times["gatheredGraphMicros"] = graph_micros(gather, rotation, device)
    return times


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

    return {"addmmMicros": median_micros(run, 1, repeats, device), "addmmGraphMicros": graph_micros(run, 1, device)}


def save(results, path):
    with open(path + ".part", "w") as file:
        json.dump(results, file, indent=1)
    os.replace(path + ".part", path)


def times_as_long(theirs, ours):
    return f"{theirs / ours:10.1f}" if theirs and ours else "         -"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("json")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch_comparators: PyTorch sees no GPU")
    end = time.monotonic() + 60 * options.minutes
    with open(options.json) as file:
        results = json.load(file)
    rotate_bytes = 2 * results["machine"]["l2Bytes"] if device == "cuda" else 1 << 20
    with torch.no_grad():
        merge = results.get("switch")
        if merge and device == "cuda":
            try:
                merge.update(switch(device, 5, layers=merge["layers"]))
                print("switch: addmm_ loop", f"{merge['addmmMicros']:.0f} us,", times_as_long(merge["addmmMicros"], merge["fusedMicros"]).strip(), "x as long")
            except RuntimeError as e:
                merge["addmmFailure"] = str(e)
                print("switch:", e)
            save(results, options.json)
            torch.cuda.empty_cache()
        print("times as long as the plugin's SGMV:             loop   gathered  loop, graph  gathered, graph")
        for case in results.get("sgmv", []):
            if time.monotonic() > end:
                print("no time for more: --minutes")
                break
            try:
                case.update(sgmv(case["case"], rotate_bytes, device, 20 if device == "cuda" else 2))
            except RuntimeError as e:
                case["torchFailure"] = str(e)
                print(case["case"], e)
            save(results, options.json)
            call, graph = case["callMicros"], case["graphMicros"]
            print(
                f"{case['case']:42}",
                times_as_long(case.get("loopMicros"), call),
                times_as_long(case.get("gatheredMicros"), call),
                times_as_long(case.get("loopGraphMicros"), graph),
                times_as_long(case.get("gatheredGraphMicros"), graph),
                flush=True,
            )
            if device == "cuda":
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
