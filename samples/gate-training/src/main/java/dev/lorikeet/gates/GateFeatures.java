package dev.lorikeet.gates;

/**
 * The features that gates see of documents: those of one gate for tokens, or of one for each layer.
 * Not thread-safe.
 */
interface GateFeatures {
  /** Returns how many gates there are. */
  int gates();

  /** Returns how many features a gate sees of a token. */
  int size();

  /** Goes to a document. */
  void open(MixedDocument document);

  /** Writes what a gate sees of a token of the open document. */
  void read(int gate, int token, float[] features);
}
