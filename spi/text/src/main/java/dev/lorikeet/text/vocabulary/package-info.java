/**
 * Where tokenizers come from: {@code tokenizer.json}, or other forms of which its like is made: a
 * GGUF file's metadata, SentencePiece's {@code tokenizer.model}, {@code vocab.json} with {@code
 * merges.txt}.
 */
@NullMarked
package dev.lorikeet.text.vocabulary;

import org.jspecify.annotations.NullMarked;
