package dev.lorikeet.text;

/**
 * How much text a tokenizer takes.
 *
 * @param bytesPerToken how many bytes of text one token stands for at most; infinite where one may
 *     stand for any number
 * @param bytesAtOnce the most bytes that the native library is given at once
 * @param space the most white space in a row
 * @param cuts where a text can be cut so that the tokens of the pieces are those of the whole
 */
record TextLimits(double bytesPerToken, int bytesAtOnce, int space, Cuts cuts) {
  /** Where a text can be cut. */
  enum Cuts {
    /** Nowhere. */
    NONE,
    /** Between a letter and white space or punctuation. */
    WORD_ENDS,
    /** Between a letter and a blank before a letter. */
    BLANKS,
    /** At a blank between letters, which is left out, since encoding puts one before a text. */
    WITHOUT_BLANKS
  }

  /** Returns how many bytes a text may have that is to have no more than some number of tokens. */
  long bytes(int tokens) {
    return (long) Math.ceil(tokens * bytesPerToken);
  }
}
