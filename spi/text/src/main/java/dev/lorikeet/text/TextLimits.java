package dev.lorikeet.text;

/**
 * How much text a tokenizer takes.
 *
 * @param bytesPerToken how many bytes of text one token stands for at most; infinite where one may
 *     stand for any number
 * @param bytesAtOnce the most bytes that the native library is given at once
 * @param space the most white space in a row
 * @param separable whether a text can be encoded in pieces that end with a letter and begin with
 *     white space or punctuation
 */
record TextLimits(double bytesPerToken, int bytesAtOnce, int space, boolean separable) {
  /** Returns how many bytes a text may have that is to have no more than some number of tokens. */
  long bytes(int tokens) {
    return (long) Math.ceil(tokens * bytesPerToken);
  }
}
