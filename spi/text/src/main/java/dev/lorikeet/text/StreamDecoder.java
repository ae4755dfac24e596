package dev.lorikeet.text;

/**
 * Turns the tokens of one request into text as they come. Each call returns the text that has
 * become certain and that no earlier call returned; all of it together is what decoding all tokens
 * at once gives, character for character. So a character whose bytes spread over several tokens
 * appears with the last of them, and bytes that are no text appear as U+FFFD once that is sure. For
 * one thread at a time; needs no closing, and works on after its tokenizer was closed.
 */
public interface StreamDecoder {
  /**
   * Takes the next token id and returns the text that it makes certain, often none; valid until the
   * next call. Allocates nothing once its buffers have grown.
   */
  CharSequence next(int id);

  /** Returns what was held back, at the end of the stream; nothing may follow. */
  CharSequence finish();
}
