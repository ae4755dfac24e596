"""Computes the logits of the models that ReferenceModels.main wrote with transformers, into logits.json.

Needs the Python packages torch and transformers (made with 2.13.0 and 5.18.0): python3 make_logits.py MODELS
"""
import json
import os
import random
import sys

import torch
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
STRIDE = 16


def main(models):
    rng = random.Random(1)
    tokens = [1] + [rng.randrange(3, 2048) for _ in range(23)]
    logits = {}
    for name in sorted(os.listdir(models)):
        model = AutoModelForCausalLM.from_pretrained(os.path.join(models, name), dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            last = model(torch.tensor([tokens])).logits[0, -1]
        logits[name] = [float("%.8g" % value) for value in last[::STRIDE].tolist()]
    with open(os.path.join(HERE, "logits.json"), "w") as out:
        json.dump({"tokens": tokens, "stride": STRIDE, "models": logits}, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
