"""Makes the small tokenizers beside this file, and what Hugging Face's own libraries make of texts and ids with them.

Needs the Python packages tokenizers and transformers (made with 0.23.2 and 5.18.0): python3 make_tokenizers.py
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's 12 o'clock, they'll say; we've 3 more to go!",
    "Four score and seven years ago our fathers brought forth on this continent a new nation.",
    "def main(args):\n    for i in range(10):\n\t\tprint(i, args[i] + 'x')\n\n    return None\n",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Où est la bibliothèque, s'il vous plaît ?",
    "東京は日本の首都です。私は学生です。中文分词是一个难题，今天天气很好。",
    "مرحبا بالعالم، كيف حالك اليوم؟ ภาษาไทยไม่มีช่องว่าง नमस्ते दुनिया",
    "Привет, мир! Съешь же ещё этих мягких французских булок.",
    "👩‍👩‍👧‍👦 family, 🇳🇿 flag, 👍🏽 thumbs, 😀😃😄 smiles",
] * 4

TEXTS = [
    "",
    " ",
    "Hello, world!",
    "  two leading, two trailing  ",
    "The quick brown fox\njumps over\r\n\r\n\tthe lazy dog.   \n",
    "It's 2024: they'll pay $1,234.56 (don't ask) -- WE'VE SEEN IT'S ODD",
    "naïve café déjà vu",
    "nai\u0308ve cafe\u0301 — combining marks",
    "東京タワーと富士山",
    "今天天气很好，我们去公园吧。",
    "مرحبا بالعالم",
    "ภาษาไทย",
    "नमस्ते",
    "👩‍👩‍👧‍👦🇳🇿👍🏽 emoji 😀",
    "\U0001F9D1\u200D\U0001F680 astronaut",
    "mixed 日本語 and English مع العربية 🙂!",
    "zero\u0000byte and \u0007bell",
    "\ufffd replacement, \ue000 private, \u200b zero width, \ufeff mark",
    "Ångström ﬁ ligature ① ½",
    "<s>marks</s> in <|im_start|>text<|im_end|> and <|begin_of_text|> too",
    "▁metaspace ▁ in the text",
    "<0x41> looks like a byte",
    "a" * 40 + " " * 20 + "b",
    "x , y . z ! n't 's 've ' quoted '",
]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def sentencepiece(size):
    """A BPE over characters with a byte for everything that has no piece, as in Llama 2 and Mistral."""
    alphabet = sorted({c for text in CORPUS for c in text.replace(" ", "▁") if ord(c) < 0x590 or c == "▁"})
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, limit_alphabet=len(alphabet))
    # words are kept apart for training alone: real ones have no pre-tokenizer either
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), "merged_with_next")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.pre_tokenizer = None
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = spec["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def byte_level(size, pattern, specials):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    return tokenizer


def bos_template(tokenizer, bos):
    return processors.TemplateProcessing(
        single=bos + " $A", pair=bos + " $A " + bos + ":1 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))])


def make():
    llama2 = sentencepiece(700)
    llama2.post_processor = bos_template(llama2, "<s>")
    yield "llama2", llama2, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}

    mistral = sentencepiece(650)
    mistral.normalizer = None
    mistral.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    mistral.post_processor = bos_template(mistral, "<s>")
    yield "mistral", mistral, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

    metaspace = sentencepiece(600)
    metaspace.normalizer = None
    metaspace.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    metaspace.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    yield "metaspace", metaspace, {"unk_token": "<unk>"}

    llama3 = byte_level(560, LLAMA3, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    llama3.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), bos_template(llama3, "<|begin_of_text|>")])
    yield "llama3", llama3, {
        "bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "clean_up_tokenization_spaces": True}

    qwen2 = byte_level(500, QWEN2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen2.normalizer = normalizers.NFC()
    qwen2.post_processor = processors.ByteLevel(trim_offsets=False)
    spec = json.loads(qwen2.to_str())
    spec["added_tokens"][-1]["special"] = False  # tokenizer_config.json makes it special again
    yield "qwen2", Tokenizer.from_str(json.dumps(spec)), {
        "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", "lstrip": False, "normalized": False, "rstrip": False,
                      "single_word": False, "special": True},
        "pad_token": "<|endoftext|>"}


def main():
    rng = random.Random(1)
    references = {}
    for name, tokenizer, config in make():
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        # truncation and padding are turned off by transformers, whatever the file says
        tokenizer.enable_truncation(16)
        if name == "llama3":
            tokenizer.enable_padding(length=16, pad_token="<|eot_id|>", pad_id=tokenizer.token_to_id("<|eot_id|>"))
        tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as out:
            json.dump({"tokenizer_class": "PreTrainedTokenizerFast", **config}, out)
        loaded = PreTrainedTokenizerFast.from_pretrained(folder)
        size = len(loaded)
        sequences = [loaded(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
        sequences += [[rng.randrange(size) for _ in range(rng.randrange(1, 30))] for _ in range(60)]
        if name in ("llama2", "mistral"):  # runs of byte tokens, mostly no text
            sequences += [[3 + rng.choice([0xE2, 0x82, 0xAC, 0x41, 0xF0, 0x9F, 0x98, 0x80]) for _ in range(8)] for _ in range(20)]
        references[name] = {
            "texts": [
                {"text": text, "ids": loaded(text)["input_ids"], "plain": loaded(text, add_special_tokens=False)["input_ids"]}
                for text in TEXTS
            ],
            "decoded": [
                {"ids": ids, "text": loaded.decode(ids), "skipped": loaded.decode(ids, skip_special_tokens=True)}
                for ids in sequences
            ],
        }
    with open(os.path.join(HERE, "tokenizers.json"), "w") as out:
        json.dump(references, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    sys.exit(main())
