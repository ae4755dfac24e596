package dev.lorikeet.cuda.lora;

/**
 * Sizes and offsets, in bytes, of the structures that say what kernels shall do; {@code
 * src/main/cuda/layout.cuh} declares them, and a test holds both to each other. Where an adapter's
 * weights lie is told by a structure of the package {@code memory}.
 */
final class Layouts {
  /** The largest number of target modules in a group. */
  static final int MAX_TARGETS = 7;

  /** Tokens in a tile of the vector kernels. */
  static final int VECTOR_ROWS = 4;

  /** Tokens in a tile of the tensor core kernels. */
  static final int MATRIX_ROWS = 32;

  /** Adapters in a tile that the fused kernel takes. */
  static final int FUSED_RUNS = 4;

  /** Kernels ask for B while they read A; {@code SgmvArgs::prefetch}. */
  static final int PREFETCH_B = 1;

  /** Thread blocks ask for what they will read first; {@code SgmvArgs::prefetch}. */
  static final int PREFETCH_OWN = 2;

  private Layouts() {}

  /** {@code Tile}: four ints, in this order: first row, rows, first run, runs. */
  static final int TILE_INTS = 4;

  /** {@code Run}: eight ints, in this order: slot, first entry, mask, tile, four tokens. */
  static final int RUN_INTS = 8;

  /** Where a run's tokens begin. */
  static final int RUN_TOKENS = 4;

  /** {@code SgmvArgs}. */
  static final class Sgmv {
    static final int BYTES = 336;
    static final int X = 0;
    static final int DIRECTORY = 8;
    static final int TILES = 16;
    static final int RUNS = 24;
    static final int ROWS = 32;
    static final int WEIGHTS = 40;
    static final int WORKSPACE = 48;
    static final int X_STRIDE = 56;
    static final int IN = 64;
    static final int SLOT_STRIDE = 68;
    static final int PAGE_SHIFT = 72;
    static final int RANK_STRIDE = 76;
    static final int SPLITS = 80;
    static final int SPLIT_SHIFT = 84;
    static final int SHARE = 88;
    static final int ENTRIES = 92;
    static final int FIRST_TILE = 96;
    static final int FIRST_RUN = 100;
    static final int X_ALIGNED = 104;
    static final int PREFETCH = 108;
    static final int OUTPUTS = 112;

    private Sgmv() {}
  }

  /** {@code Output}. */
  static final class Output {
    static final int BYTES = 32;
    static final int Y = 0;
    static final int STRIDE = 8;
    static final int WIDTH = 16;
    static final int TARGET = 20;
    static final int ALIGNED = 24;

    private Output() {}
  }

  /** {@code SwitchModule}. */
  static final class Module {
    static final int BYTES = 56;
    static final int PRISTINE = 0;
    static final int MERGED = 8;
    static final int PRISTINE_STRIDE = 16;
    static final int MERGED_STRIDE = 24;
    static final int OUT = 32;
    static final int IN = 36;
    static final int TARGET = 40;
    static final int FIRST_TILE = 44;
    static final int ALIGNED = 48;
    static final int CHANGES = 52;

    private Module() {}
  }

  /** {@code SwitchArgs}. */
  static final class Switch {
    static final int BYTES = 48;
    static final int MODULES = 0;
    static final int DIRECTORY = 8;
    static final int SLOTS = 16;
    static final int WEIGHTS = 24;
    static final int MODULE_COUNT = 32;
    static final int SHARES = 36;
    static final int SLOT_STRIDE = 40;
    static final int PAGE_SHIFT = 44;

    private Switch() {}
  }
}
