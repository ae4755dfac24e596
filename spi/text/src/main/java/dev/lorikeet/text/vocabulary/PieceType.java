package dev.lorikeet.text.vocabulary;

/** What a piece of a vocabulary is, by the numbers that SentencePiece has for it, as GGUF has. */
enum PieceType {
  /** Not said. */
  UNDEFINED,
  /** Text. */
  NORMAL,
  /** What stands for unknown text. */
  UNKNOWN,
  /** What stands for no text, such as the end of a sequence. */
  CONTROL,
  /** Text that is always taken whole. */
  USER_DEFINED,
  /** Text that is never used. */
  UNUSED,
  /** A byte. */
  BYTE;

  private static final PieceType[] ALL = values();

  /** The highest number. */
  static final int LAST = ALL.length - 1;

  static PieceType of(int number) {
    return ALL[number];
  }

  /** Returns whether a text is searched for it before it is divided. */
  boolean isAdded() {
    return this == CONTROL || this == USER_DEFINED;
  }
}
