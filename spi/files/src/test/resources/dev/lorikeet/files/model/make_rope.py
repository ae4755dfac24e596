"""Writes what transformers makes of the rotary part of configurations, those of known models among them, into rope.json.

Needs the Python packages torch and transformers (made with 2.13.0 and 5.18.0): python3 make_rope.py
"""
import json
import os
import sys

from transformers import LlamaConfig, MistralConfig, Qwen2Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = {
    "llama": (LlamaConfig, LlamaRotaryEmbedding),
    "mistral": (MistralConfig, MistralRotaryEmbedding),
    "qwen2": (Qwen2Config, Qwen2RotaryEmbedding),
}


def config(family, **keys):
    return {
        "model_type": family, "hidden_size": 2048, "intermediate_size": 4096, "num_hidden_layers": 2, "num_attention_heads": 16,
        "num_key_value_heads": 4, "vocab_size": 1000, "max_position_embeddings": 8192, "bos_token_id": 1, "eos_token_id": 2, **keys}


CONFIGS = {
    "defaults": config("llama"),
    "mistral 7b v0.3": config("mistral", rope_theta=1000000.0, sliding_window=None),
    "linear": config("llama", rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "linear by its old key": config("llama", rope_theta=20000, rope_scaling={"type": "linear", "factor": 2}),
    "default by name": config("llama", rope_scaling={"rope_type": "default"}),
    "llama 3.1": config(
        "llama", max_position_embeddings=131072, rope_theta=500000.0,
        rope_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
                      "rope_type": "llama3"}),
    "llama 3.2 1b": config(
        "llama", num_attention_heads=32, head_dim=64, max_position_embeddings=131072, rope_theta=500000.0,
        rope_scaling={"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
                      "rope_type": "llama3"}),
    "llama3 without an original length": config(
        "llama", rope_scaling={"factor": 3, "low_freq_factor": 1, "high_freq_factor": 2, "rope_type": "llama3"}),
    "qwen2.5 with yarn": config(
        "qwen2", max_position_embeddings=32768, rope_theta=1000000.0,
        rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}),
    "yarn with an attention factor": config(
        "llama", rope_scaling={"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "attention_factor": 0.75}),
    "yarn with mscale": config(
        "llama", rope_scaling={"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 0.7,
                               "mscale_all_dim": 1.2, "beta_fast": 24, "beta_slow": 2}),
    "yarn without truncation": config(
        "llama", head_dim=80, rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024, "truncate": False}),
    "yarn that reaches the last dimension": config(
        "llama", head_dim=16, rope_theta=100.0, rope_scaling={"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}),
    "parameters of transformers 5": config(
        "llama", rope_parameters={"rope_type": "llama3", "rope_theta": 300000.0, "factor": 8.0, "low_freq_factor": 1.0,
                                  "high_freq_factor": 4.0, "original_max_position_embeddings": 4096}),
    "default parameters of transformers 5": config("qwen2", rope_parameters={"rope_type": "default", "rope_theta": 250000.0}),
    "original length outside": config(
        "llama", original_max_position_embeddings=2048, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}),
}


def main():
    cases = []
    for name, keys in CONFIGS.items():
        configuration, embedding = FAMILIES[keys["model_type"]]
        rotary = embedding(configuration(**json.loads(json.dumps(keys))))
        cases.append({"name": name, "config": keys, "inverse": [float("%.9g" % f) for f in rotary.inv_freq.tolist()],
                      "scale": rotary.attention_scaling})
    with open(os.path.join(HERE, "rope.json"), "w") as out:
        out.write("[" + ",\n".join(json.dumps(case) for case in cases) + "]\n")


if __name__ == "__main__":
    sys.exit(main())
