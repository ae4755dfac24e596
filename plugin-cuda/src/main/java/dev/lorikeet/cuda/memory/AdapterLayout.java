package dev.lorikeet.cuda.memory;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Where the rows of one adapter lie in its linear space, which is cut into device pages (see {@code
 * layout.cuh}). For each target module, in order: the page list of A, where A covers more than
 * {@link TargetRecord#NEAR} pages, that of B likewise, the rows of A, the rows of B. A page list
 * never crosses a page; rows are padded to eight elements.
 */
final class AdapterLayout {
  /** A cache line, so that no row that is a multiple of it long straddles one more. */
  private static final int FACTOR_ALIGNMENT = 128;

  /** Kernels count the bytes of a factor, from its first page on, in 32 bits. */
  private static final long FACTOR_LIMIT = 1L << 32;

  private final int pageBytes;
  private final Place[] places;
  private long end;

  /**
   * The place of one target module.
   *
   * @param target the module
   * @param module its number
   * @param begin the first byte
   * @param aList where A's page list begins, -1 if it needs none
   * @param bList where B's page list begins, -1 if it needs none
   * @param a where A's rows begin
   * @param b where B's rows begin
   * @param end the end of B's rows
   * @param shape what both factors are like
   */
  record Place(
      TargetModule target,
      int module,
      long begin,
      long aList,
      long bList,
      long a,
      long b,
      long end,
      Shape shape) {}

  /** The sizes and types of one module's factors. */
  record Shape(
      int rank,
      int aWidth,
      int bWidth,
      int aBlocks,
      int bBlocks,
      ElementType aType,
      ElementType bType,
      float scaling) {
    static Shape of(LoraWeights weights) {
      LoraFactor a = weights.a();
      LoraFactor b = weights.b();
      return new Shape(
          weights.rank(),
          a.width(),
          b.width(),
          a.blocks(),
          b.blocks(),
          a.type(),
          b.type(),
          weights.scaling());
    }

    int aStride() {
      return rowStride(aWidth / aBlocks, aType);
    }

    int bStride() {
      return rowStride(bWidth / bBlocks, bType);
    }

    boolean isDense() {
      return aBlocks == 1 && bBlocks == 1;
    }
  }

  private AdapterLayout(int pageBytes, int modules) {
    this.pageBytes = pageBytes;
    places = new Place[modules];
  }

  /** Lays out all target modules of a leased adapter. */
  static AdapterLayout of(AdapterLease lease, int pageBytes, ModuleNumbers numbers) {
    List<TargetSpec> targets = lease.spec().targets();
    targets.forEach(spec -> numbers.of(spec.target()));
    AdapterLayout layout = new AdapterLayout(pageBytes, numbers.count());
    for (TargetSpec spec : targets) {
      Optional<LoraWeights> weights = lease.weights(spec.target());
      if (weights.isPresent()) {
        layout.add(spec.target(), numbers.of(spec.target()), Shape.of(weights.get()));
      }
    }
    return layout;
  }

  private void add(TargetModule target, int module, Shape shape) {
    if (shape.rank() > TargetRecord.MAX_RANK) {
      throw new IllegalArgumentException(
          target
              + ": expected a rank of at most "
              + TargetRecord.MAX_RANK
              + ", found "
              + shape.rank());
    }
    long begin = Buffers.align(end, FACTOR_ALIGNMENT);
    long aBytes = (long) shape.rank() * shape.aStride();
    long bBytes = (long) shape.rank() * shape.bStride();
    if (Math.max(aBytes, bBytes) + pageBytes >= FACTOR_LIMIT) {
      throw new IllegalArgumentException(
          target
              + ": expected factors of less than 4 GiB, found "
              + Math.max(aBytes, bBytes)
              + " bytes");
    }
    // On how many pages rows lie depends on where they begin, which depends on the lists; so size
    // alone decides.
    boolean listA = aBytes > (long) (TargetRecord.NEAR - 1) * pageBytes;
    boolean listB = bBytes > (long) (TargetRecord.NEAR - 1) * pageBytes;
    long aList = listA ? listPlace(begin, aBytes) : -1;
    long afterA = listA ? aList + listBytes(aBytes) : begin;
    long bList = listB ? listPlace(afterA, bBytes) : -1;
    long afterB = listB ? bList + listBytes(bBytes) : afterA;
    long a = Buffers.align(afterB, FACTOR_ALIGNMENT);
    long b = Buffers.align(a + aBytes, FACTOR_ALIGNMENT);
    end = b + bBytes;
    places[module] = new Place(target, module, begin, aList, bList, a, b, end, shape);
  }

  private long listPlace(long from, long factorBytes) {
    long bytes = listBytes(factorBytes);
    if (bytes > pageBytes) {
      throw new IllegalArgumentException(
          "a factor of "
              + factorBytes
              + " bytes needs a larger device page than "
              + pageBytes
              + " bytes (option page-bytes)");
    }
    long offset = from % pageBytes;
    return offset + bytes <= pageBytes ? from : Buffers.align(from, pageBytes);
  }

  /** The size of a list that covers a factor wherever it begins. */
  private long listBytes(long factorBytes) {
    return Buffers.align((factorBytes + pageBytes - 1) / pageBytes * 8 + 8, 16);
  }

  static int rowStride(int elements, ElementType type) {
    return (elements + 7) / 8 * 8 * type.bytes();
  }

  int pageBytes() {
    return pageBytes;
  }

  /** Returns how many target modules have a place in its tables; no number of its own is larger. */
  int modules() {
    return places.length;
  }

  /** Returns the place of a module by its number, or empty if the adapter does not change it. */
  Optional<Place> place(int module) {
    return module < places.length ? Optional.ofNullable(places[module]) : Optional.empty();
  }

  /** Returns the places of all modules that the adapter changes, in order. */
  List<Place> places() {
    List<Place> present = new ArrayList<>();
    for (int i = 0; i < places.length; i++) {
      place(i).ifPresent(present::add);
    }
    return present;
  }

  int pages() {
    return (int) ((Math.max(end, 1) + pageBytes - 1) / pageBytes);
  }
}
