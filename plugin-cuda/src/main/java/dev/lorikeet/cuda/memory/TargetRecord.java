package dev.lorikeet.cuda.memory;

/**
 * Sizes and offsets, in bytes, of the record by which kernels find one target module of an adapter:
 * {@code TargetRecord} in {@code src/main/cuda/layout.cuh}, and a test holds both to each other.
 */
final class TargetRecord {
  /** The largest rank that kernels take. */
  static final int MAX_RANK = 256;

  static final int BYTES = 128;
  static final int A_PAGES = 0;
  static final int B_PAGES = 8;
  static final int A_OFFSET = 16;
  static final int B_OFFSET = 20;
  static final int A_STRIDE = 24;
  static final int B_STRIDE = 28;
  static final int RANK = 32;
  static final int A_TYPE = 36;
  static final int A_WIDTH = 40;
  static final int B_WIDTH = 44;
  static final int A_BLOCKS = 48;
  static final int B_BLOCKS = 52;
  static final int SCALING = 56;
  static final int B_TYPE = 60;
  static final int NEAR_PAGES = 64;

  /** How many pages of each factor stand in the record itself. */
  static final int NEAR = 4;

  private TargetRecord() {}
}
