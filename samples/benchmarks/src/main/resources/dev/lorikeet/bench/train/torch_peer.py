"""Trains LoRA adapters over a Llama model with PyTorch: what `bench train` compares with.

Reads lines of JSON from its input and answers each with a line that begins with "lorikeet-bench:". The first line says
what to open:
  {"model": DIR, "threads": N, "precision": "f32" or "bf16"}
each other one what to train, one task after the other, each from the start of its adapter:
  {"adapters": [DIR, ...], "ids": [[[token, ...], ...step], ...task], "rate": R}
An answer has the losses of all tasks and steps, and the tokens and seconds of all steps but each task's first.

The LoRA is written by hand, as many people write it: frozen weights take no gradient, autograd does the rest, nothing
is computed twice, and AdamW is PyTorch's own. In bf16 weights and activations are bf16; adapters, norms, the loss and
the optimizer stay f32. Needs torch alone.
"""

import json
import math
import os
import resource
import struct
import sys
import time

import torch
import torch.nn.functional as F

ANSWER = "lorikeet-bench:"
TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def read_tensors(directory):
    """Reads all safetensors files of a directory."""
    tensors = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(directory, name), "rb") as file:
            data = bytearray(file.read())
        (length,) = struct.unpack("<Q", data[:8])
        for key, entry in json.loads(data[8 : 8 + length]).items():
            if key != "__metadata__":
                start = 8 + length + entry["data_offsets"][0]
                count = math.prod(entry["shape"])
                flat = torch.frombuffer(data, dtype=TYPES[entry["dtype"]], offset=start, count=count)
                tensors[key] = flat.view(entry["shape"])
    return tensors


class Model:
    """A frozen Llama."""

    def __init__(self, directory, dtype):
        with open(os.path.join(directory, "config.json")) as file:
            config = json.load(file)
        tensors = {key: value.to(dtype) for key, value in read_tensors(directory).items()}
        self.dtype = dtype
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads", self.heads)
        self.head_dim = config.get("head_dim") or config["hidden_size"] // self.heads
        self.epsilon = config["rms_norm_eps"]
        self.theta = config.get("rope_theta", 10000.0)
        self.embedding = tensors["model.embed_tokens.weight"]
        self.output = tensors.get("lm_head.weight", self.embedding)
        self.norm = tensors["model.norm.weight"]
        self.layers = []
        for index in range(config["num_hidden_layers"]):
            prefix = f"model.layers.{index}."
            self.layers.append({key[len(prefix) :][: -len(".weight")]: value for key, value in tensors.items() if key.startswith(prefix)})
        self.tables = {}

    def positions(self, length):
        """Returns cosines, sines and the mask of a sequence, made once for each length."""
        if length not in self.tables:
            inverse = 1.0 / self.theta ** (torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim)
            angles = torch.outer(torch.arange(length, dtype=torch.float64), inverse)
            angles = torch.cat((angles, angles), dim=-1)
            mask = torch.full((length, length), float("-inf")).triu(1)
            self.tables[length] = (angles.cos().to(self.dtype), angles.sin().to(self.dtype), mask.to(self.dtype))
        return self.tables[length]

    def rms(self, x, weight):
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (wide * scale).to(self.dtype) * weight

    def hidden(self, ids, adapter):
        """Returns the hidden states of one sequence behind the last norm."""
        length = ids.shape[0]
        cos, sin, mask = self.positions(length)
        x = F.embedding(ids, self.embedding)
        for index, layer in enumerate(self.layers):

            def linear(module, value):
                a, b, scale = adapter[index, module]
                low = F.linear(value, a.to(self.dtype))
                return torch.addmm(F.linear(value, layer[module]), low, b.to(self.dtype).t(), alpha=scale)

            def rotated(value):
                half = self.head_dim // 2
                turned = torch.cat((-value[..., half:], value[..., :half]), dim=-1)
                return value * cos + turned * sin

            normed = self.rms(x, layer["input_layernorm"])
            q = linear("self_attn.q_proj", normed).view(length, self.heads, self.head_dim).transpose(0, 1)
            k = linear("self_attn.k_proj", normed).view(length, self.kv_heads, self.head_dim).transpose(0, 1)
            v = linear("self_attn.v_proj", normed).view(length, self.kv_heads, self.head_dim).transpose(0, 1)
            group = self.heads // self.kv_heads
            k = rotated(k).repeat_interleave(group, dim=0)
            v = v.repeat_interleave(group, dim=0)
            scores = torch.baddbmm(mask, rotated(q), k.transpose(1, 2), alpha=self.head_dim**-0.5)
            attended = torch.bmm(torch.softmax(scores, dim=-1), v)
            attended = attended.transpose(0, 1).reshape(length, self.heads * self.head_dim)
            x = x + linear("self_attn.o_proj", attended)
            normed = self.rms(x, layer["post_attention_layernorm"])
            active = F.silu(linear("mlp.gate_proj", normed)) * linear("mlp.up_proj", normed)
            x = x + linear("mlp.down_proj", active)
        return self.rms(x, self.norm)

    def loss(self, ids, adapter):
        logits = F.linear(self.hidden(ids, adapter)[:-1], self.output)
        return F.cross_entropy(logits.float(), ids[1:])


def read_adapter(directory, layers):
    """Reads a PEFT adapter on all projections: by layer and module A, B and the scaling."""
    with open(os.path.join(directory, "adapter_config.json")) as file:
        config = json.load(file)
    scale = config["lora_alpha"] / config["r"]
    tensors = read_tensors(directory)
    adapter = {}
    for index in range(layers):
        for module in MODULES:
            prefix = f"base_model.model.model.layers.{index}.{module}."
            a, b = (tensors[prefix + name].float().clone().requires_grad_() for name in ("lora_A.weight", "lora_B.weight"))
            adapter[index, module] = (a, b, scale)
    return adapter


def train(model, question):
    losses, seconds, tokens = [], 0.0, 0
    for directory, steps in zip(question["adapters"], question["ids"]):
        adapter = read_adapter(directory, len(model.layers))
        weights = [weight for a, b, _ in adapter.values() for weight in (a, b)]
        optimizer = torch.optim.AdamW(weights, lr=question["rate"], weight_decay=0.0)
        found, start = [], None
        for ids in steps:
            loss = model.loss(torch.tensor(ids), adapter)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
            start = start or time.perf_counter()
        seconds += time.perf_counter() - start
        tokens += sum(len(ids) for ids in steps[1:])
        losses.append(found)
    return {"losses": losses, "tokens": tokens, "seconds": seconds}


def answer(**values):
    values["peakBytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(ANSWER + json.dumps(values), flush=True)


def main():
    opening = json.loads(sys.stdin.readline())
    torch.set_num_threads(opening["threads"])
    torch.manual_seed(0)
    model = Model(opening["model"], torch.bfloat16 if opening["precision"] == "bf16" else torch.float32)
    answer(title=f"PyTorch {torch.__version__} {opening['precision']}")
    for line in sys.stdin:
        answer(**train(model, json.loads(line)))


if __name__ == "__main__":
    main()
