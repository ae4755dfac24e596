package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.model.Vocabulary;
import java.util.List;

/**
 * What every contender gets: the same weights.
 *
 * @param model Hugging Face directory of the model
 * @param adapters PEFT directories
 * @param gguf GGUF file of the model by element type, {@code f16} and {@code bf16}, without the
 *     ending {@code -f16.gguf}
 * @param ggufAdapters GGUF files of the adapters
 * @param vocabulary one character for every token
 * @param threads processors to use
 */
record Inputs(
    String model,
    List<String> adapters,
    String gguf,
    List<String> ggufAdapters,
    Vocabulary vocabulary,
    int threads) {}
