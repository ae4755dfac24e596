package dev.lorikeet.text;

import java.util.Arrays;

/**
 * The characters that byte-level BPE writes for bytes, as in GPT-2: printable Latin-1 characters
 * stand for themselves, and the other 68 bytes, in order, for the characters from U+0100.
 */
final class ByteAlphabet {
  private static final short[] BYTE_OF = new short[0x100 + 68];

  static {
    Arrays.fill(BYTE_OF, (short) -1);
    int next = 0x100;
    for (int b = 0; b < 0x100; b++) {
      boolean printable =
          (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      BYTE_OF[printable ? b : next++] = (short) b;
    }
  }

  private ByteAlphabet() {}

  /**
   * Returns the byte that a character stands for, from 0 to 255, or -1 where it stands for none.
   */
  static int byteOf(char c) {
    return c < BYTE_OF.length ? BYTE_OF[c] : -1;
  }
}
