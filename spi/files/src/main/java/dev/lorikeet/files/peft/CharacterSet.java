package dev.lorikeet.files.peft;

/**
 * A set of characters; module names are ASCII, so those beyond it are in the set or not all
 * together.
 *
 * @param low the characters 0 to 63, one bit each
 * @param high the characters 64 to 127
 * @param others whether the characters beyond are in the set
 */
record CharacterSet(long low, long high, boolean others) {
  static final CharacterSet NONE = new CharacterSet(0, 0, false);
  static final CharacterSet NOT_NEWLINE = NONE.with('\n').inverted();
  static final CharacterSet DIGIT = NONE.with('0', '9');
  static final CharacterSet WORD = DIGIT.with('a', 'z').with('A', 'Z').with('_');
  static final CharacterSet SPACE = NONE.with(' ').with('\t', '\r');

  boolean contains(char c) {
    return c < 64 ? (low >>> c & 1) != 0 : c < 128 ? (high >>> c & 1) != 0 : others;
  }

  CharacterSet with(char c) {
    return with(c, c);
  }

  CharacterSet with(char from, char to) {
    long newLow = low;
    long newHigh = high;
    for (char c = from; c <= to && c < 128; c++) {
      if (c < 64) {
        newLow |= 1L << c;
      } else {
        newHigh |= 1L << c;
      }
    }
    return new CharacterSet(newLow, newHigh, others);
  }

  CharacterSet with(CharacterSet other) {
    return new CharacterSet(low | other.low, high | other.high, others || other.others);
  }

  CharacterSet inverted() {
    return new CharacterSet(~low, ~high, !others);
  }
}
